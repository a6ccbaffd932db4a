"""How this process shares the machine's cores with others."""

import os


def wait_without_spinning() -> None:
    """Lets OpenMP threads that wait sleep instead of spinning; to be called before torch is imported.

    Beside other busy processes, as on a robot, spinning threads take each other's cores and work takes several times
    as long. Whatever the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
