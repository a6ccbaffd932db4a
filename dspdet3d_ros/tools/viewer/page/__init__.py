"""A self-contained web page that shows a cloud and its detections."""

from dspdet3d_ros.tools.viewer.page.contents import PageContents
from dspdet3d_ros.tools.viewer.page.html_file import write_page
from dspdet3d_ros.tools.viewer.page.runs import SHOWN_TAUS, runs_at

__all__ = ["SHOWN_TAUS", "PageContents", "runs_at", "write_page"]
