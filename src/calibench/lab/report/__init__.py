"""The report on a study, read from its store alone."""

from calibench.lab.report.write import WrittenReport, write_report

__all__ = ["WrittenReport", "write_report"]
