"""Jobs that do not depend on each other: one after the other here, several at once on this machine, or each as a SLURM job.

A job is a callable without arguments that builds a unit in the shared store (clnet/units.py); what it returns is dropped. So how many
run at a time changes no result, and after a failure or a stop the same jobs continue from what they left.
"""

from clnet.launch.cluster import SubmititLauncher
from clnet.launch.local import Job, Launcher, LocalLauncher
from clnet.launch.processes import JoblibLauncher

__all__ = ["Job", "JoblibLauncher", "Launcher", "LocalLauncher", "SubmititLauncher"]
