"""Tables S12 to S48: DSC, ASD and pruning rate of every structure, for all settings of the paper."""

from __future__ import annotations

from analysis.exhibits.commands import REAL, five_public, of_rivals
from analysis.exhibits.organwise import OrganTable

_OF_36 = tuple(f"python run.py experiment={words} {REAL}" for words in (
    "universal36 pruning=text", "universal36", "continual36 pruning=text")) + of_rivals("universal36", "nnunet")
_OF_5 = five_public("universal5") + of_rivals("universal5", "nnunet", "multitalent")
_IN_ORDER = five_public("order1,order2,order3,order4") + of_rivals("universal5", "nnunet")
_GROUPS = ("Head and neck", "Thorax", "Abdomen", "Ribs and vertebrae", "Lymph node stations", "Lesions")
_FIVE_PUBLIC = tuple(f"TotalSegmentator V2, {part}" for part in ("organs", "heart and vessels", "muscles and limbs", "ribs", "vertebrae"))
_FIVE_PUBLIC += ("StructSeg19", "SegTHOR", "FLARE22", "KiTS21")
_IN_ORDERS = (*_FIVE_PUBLIC[:5], "StructSeg19", "FLARE22", "SegTHOR", "KiTS21")
_EXTERNAL = ("head and neck", "chest", "BTCV, abdomen", "lesions")
_NEAR = {f"CLNet_{kind}36": (f"CLNet_{kind}5", f"CLNet_{kind}5_unpruned", f"CLNet_{kind}36_unpruned") for kind in "UC"}

_ALL = (
    *(OrganTable(f"S{12 + index}", f"{name}, 36 datasets: nnU-Net, CL-Net universal (with and without pruning) and continual", _OF_36,
                 {"CLNet_C36": ("CLNet_C36_unpruned",)}) for index, name in enumerate(_GROUPS)),
    *(OrganTable(f"S{18 + index}", f"{name}: nnU-Net, MultiTalent and CL-Net, universal on five datasets", _OF_5,
                 {"CLNet_U5": ("CLNet_U5_unpruned",)}) for index, name in enumerate(_FIVE_PUBLIC)),
    *(OrganTable(f"S{27 + index}", f"External testing, {name}", _OF_36, _NEAR | {"nnUNet_E36": ("nnUNet_E5",)})
      for index, name in enumerate(_EXTERNAL)),
    *(OrganTable(f"S{31 + index}", f"{name}: CL-Net, universal on 36 datasets, with and without fine-tuning", _OF_36[:2],
                 {"CLNet_U36": ("CLNet_U36_unpruned",)}) for index, name in enumerate(_FIVE_PUBLIC)),
    *(OrganTable(f"S{40 + index}", f"{name}: CL-Net, continual in four orders of five datasets", _IN_ORDER,
                 {"CLNet_C5": ("CLNet_C5_unpruned",)}) for index, name in enumerate(_IN_ORDERS)),
)
EXHIBITS = tuple(table.exhibit for table in _ALL)
