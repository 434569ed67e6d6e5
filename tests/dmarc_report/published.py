"""Aggregate reports held to RFC 9990's definitions, and one as others write it."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

_SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("aggregate.xsd"))))


def mistakes(data: bytes) -> list[str]:
    """What is wrong with a report."""
    if _SCHEMA.validate(etree.fromstring(data)):
        return []
    return [f"line {error.line}: {error.message}" for error in _SCHEMA.error_log]


#: As the big ones write it still, by RFC 7489: no namespace, another order, SPF of HELO as well.
OLDER = b"""<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <report_metadata>
    <org_name>big.example</org_name>
    <email>noreply-dmarc-support@big.example</email>
    <extra_contact_info>https://big.example/dmarc</extra_contact_info>
    <report_id>14152371983027518736</report_id>
    <date_range><begin>1768435200</begin><end>1768521599</end></date_range>
  </report_metadata>
  <policy_published>
    <domain>Example.org</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.7</source_ip><count>12</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated>
    </row>
    <identifiers><header_from>example.org</header_from></identifiers>
    <auth_results>
      <dkim><domain>example.org</domain><result>pass</result><selector>k1</selector></dkim>
      <spf><domain>list.example</domain><result>pass</result></spf>
    </auth_results>
  </record>
  <record>
    <row>
      <source_ip>2001:db8::66</source_ip><count>3</count>
      <policy_evaluated>
        <disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>
        <reason><type>local_policy</type><comment>arc=pass</comment></reason>
      </policy_evaluated>
    </row>
    <identifiers><header_from>example.org</header_from></identifiers>
    <auth_results>
      <spf><domain>mx.crook.example</domain><scope>helo</scope><result>none</result></spf>
      <spf><domain>crook.example</domain><result>softfail</result></spf>
    </auth_results>
  </record>
</feedback>
"""
