"""What a stranger's package offers; twisted.plugin finds it on PYTHONPATH."""

from example_mail.people import LIST, RIDDLE
from example_mail.policy import WORDS
from example_mail.ways import FOLDER, HOSTS

__all__ = ["FOLDER", "HOSTS", "LIST", "RIDDLE", "WORDS"]
