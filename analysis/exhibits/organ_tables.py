"""Tables S12 to S48: DSC, ASD and pruning rate of every structure, for all settings of the paper."""

from __future__ import annotations

from analysis.exhibits.organwise import OrganTable

_RUN = "python run.py data.root=FOLDER scale=paper trainer=gpu"
_FIVE = f"{_RUN} data=public"
_GROUPS = ("Head and neck", "Thorax", "Abdomen", "Ribs and vertebrae", "Lymph node stations", "Lesions")
_FIVE_PUBLIC = tuple(f"TotalSegmentator V2, {part}" for part in ("organs", "heart and vessels", "muscles and limbs", "ribs", "vertebrae"))
_FIVE_PUBLIC += ("StructSeg19", "SegTHOR", "FLARE22", "KiTS21")
_IN_ORDERS = (*_FIVE_PUBLIC[:5], "StructSeg19", "FLARE22", "SegTHOR", "KiTS21")
_EXTERNAL = ("head and neck", "chest", "BTCV, abdomen", "lesions")
_RELEASED = {name: "the released model of another work; only the paper's numbers are shown." for name in ("SAT-Pro", "VISTA3D")}
_FINE_TUNED = {"CLNet_U36_finetune": "the benchmark does not tune a finished universal model on single datasets."}
_OF_36 = {f"CLNet_{kind}36": (f"CLNet_{kind}5", f"CLNet_{kind}5_unpruned", f"CLNet_{kind}36_unpruned") for kind in "UC"}

_ALL = (
    *(OrganTable(f"S{12 + index}", f"{name}, 36 datasets: nnU-Net, CL-Net universal (with and without pruning) and continual", (
        f"{_RUN} experiment=universal36 pruning=text", f"{_RUN} experiment=universal36", f"{_RUN} experiment=continual36 pruning=text",
        f"{_RUN} experiment=universal36 method=nnunet"), {"CLNet_C36": ("CLNet_C36_unpruned",)}) for index, name in enumerate(_GROUPS)),
    *(OrganTable(f"S{18 + index}", f"{name}: nnU-Net, MultiTalent and CL-Net, universal on five datasets", (
        f"{_FIVE} experiment=universal5 pruning=text", f"{_FIVE} experiment=universal5 method=multitalent",
        f"{_FIVE} experiment=universal5 method=nnunet"), {"CLNet_U5": ("CLNet_U5_unpruned",)}) for index, name in enumerate(_FIVE_PUBLIC)),
    *(OrganTable(f"S{27 + index}", f"External testing, {name}", (
        f"{_RUN} experiment=universal36 pruning=text", f"{_RUN} experiment=continual36 pruning=text"),
        _OF_36 | {"nnUNet_E36": ("nnUNet_E5",)}, _RELEASED) for index, name in enumerate(_EXTERNAL)),
    *(OrganTable(f"S{31 + index}", f"{name}: CL-Net, universal on 36 datasets, with and without fine-tuning", (
        f"{_RUN} experiment=universal36 pruning=text",), {"CLNet_U36": ("CLNet_U36_unpruned",)}, _FINE_TUNED)
      for index, name in enumerate(_FIVE_PUBLIC)),
    *(OrganTable(f"S{40 + index}", f"{name}: CL-Net, continual in four orders of five datasets", (
        f"{_FIVE} -m experiment=order1,order2,order3,order4 pruning=text", f"{_FIVE} experiment=universal5 method=nnunet"),
        {"CLNet_C5": ("CLNet_C5_unpruned",)}) for index, name in enumerate(_IN_ORDERS)),
)
EXHIBITS = tuple(table.exhibit for table in _ALL)
