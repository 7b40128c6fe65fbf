"""Results that can be passed on: one archive that anybody can verify, and one table of several people's."""

from avzsl.share.bundle import Bundle, opened, write_bundle
from avzsl.share.merge import merge

__all__ = ["Bundle", "merge", "opened", "write_bundle"]
