"""One self-contained web page of a cloud with the boxes found in it."""

from dspdet3d_ros.tools.viewer.page.contents import Report
from dspdet3d_ros.tools.viewer.page.html_file import write_page
from dspdet3d_ros.tools.viewer.page.runs import SHOWN_TAUS, runs_at

__all__ = ["SHOWN_TAUS", "Report", "runs_at", "write_page"]
