"""Reports: from a store, or from predictions, to a page that answers a question."""

from calibench.lab.report.predictions_page import write_predictions_page
from calibench.lab.report.write import (
    Beside,
    WrittenReport,
    write_comparison,
    write_report,
)

__all__ = [
    "Beside",
    "WrittenReport",
    "write_comparison",
    "write_predictions_page",
    "write_report",
]
