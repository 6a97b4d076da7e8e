// The browser of test cases. Each `.cases` holds its data as JSON: windows, scans (images by window and plane, outlines of the
// reference) and views (a run's outlines and DSC on a scan). Planes are the axial slices, then the middle coronal one.
"use strict";
{
  const COLOURS = ["#ffd166", "#4cc9f0", "#ff6b6b", "#80ed99", "#f78cff", "#ffa94d", "#b8c0ff", "#e9ff70", "#00e5c3", "#ff9ebb", "#c8b6a6", "#5c9dff"];

  function make(name, attributes = {}, ...children) {
    const svg = ["svg", "g", "image", "path", "line", "text"].includes(name);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const labelled = (text, control) => make("label", {}, control, ` ${text}`);
  const options = (texts) => texts.map((text) => make("option", {}, text));

  function browse(root, { windows, scans, views }) {
    const hidden = new Set(), colours = new Map();
    const unique = (texts) => [...new Set(texts)];
    const group = `window-${Math.random()}`;
    const scan = make("select", {}, ...options(scans.map(({ label }) => label)));
    const run = make("select");
    const radios = windows.map((_, index) => make("input", { type: "radio", name: group, value: index }));
    const kinds = { reference: make("input", { type: "checkbox" }), predicted: make("input", { type: "checkbox" }) };
    const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "axial slice" });
    const place = make("output"), list = make("ul"), summary = make("p", { class: "legend" });
    const axial = make("svg", { role: "img", "aria-label": "axial slice" }), coronal = make("svg", { role: "img", "aria-label": "middle coronal slice" });
    radios[0].checked = kinds.reference.checked = kinds.predicted.checked = true;

    const runLabel = make("label", {}, "run ", run);
    root.append(
      make("div", { class: "controls" }, make("label", {}, "case ", scan), runLabel,
        make("fieldset", {}, ...radios.map((radio, index) => labelled(windows[index], radio))),
        make("fieldset", {}, labelled("reference (areas, dotted)", kinds.reference), labelled("prediction (lines)", kinds.predicted))),
      make("figure", { class: "axial" }, axial, slider, place),
      make("figure", { class: "coronal" }, coronal, make("figcaption", {}, "middle coronal slice; a click goes to that height")),
      make("div", {}, summary, list));
    runLabel.hidden = unique(views.map((view) => view.run)).length < 2;

    const current = () => scans[scan.selectedIndex];
    const view = () => views.find((one) => one.scan === scan.selectedIndex && one.run === run.value);
    const colour = (name) => COLOURS[colours.get(name)];
    const inPlane = (kind, name, plane) => (kind === "reference" ? current().reference : view().predicted)[name]?.[plane];

    // Each structure gets the colour that fewest of those in the same planes have.
    function colourAll() {
      const planes = (name) => [...current().slices.keys(), current().slices.length].filter((plane) => inPlane("reference", name, plane) || inPlane("predicted", name, plane));
      const where = new Map(view().names.map((name) => [name, new Set(planes(name))]));
      colours.clear();
      for (const [name, mine] of where) {
        const taken = COLOURS.map(() => 0);
        for (const [other, index] of colours) taken[index] += [...mine].filter((plane) => where.get(other).has(plane)).length;
        colours.set(name, taken.indexOf(Math.min(...taken)));
      }
    }

    function draw(svg, plane, columns, rows, mm, letters) {
      const [width, height] = [columns * mm[0], rows * mm[1]];
      const window = radios.findIndex((radio) => radio.checked);
      const image = make("image", { href: current().images[window][plane], width, height, preserveAspectRatio: "none" });
      const paths = make("g", { transform: `scale(${mm[0] / 2} ${mm[1] / 2})` });
      for (const kind of ["reference", "predicted"]) {
        for (const name of kinds[kind].checked ? view().names : []) {
          const d = hidden.has(name) ? undefined : inPlane(kind, name, plane);
          if (d) paths.append(make("path", { d, class: kind, "data-name": name, fill: colour(name), stroke: colour(name) }));
        }
      }
      const size = Math.max(width, height) / 24;
      const text = (x, y, letter) => make("text", { x, y, style: `font-size:${size}px`, "text-anchor": "middle", "dominant-baseline": "central" }, letter);
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.style.aspectRatio = `${width} / ${height}`;
      svg.replaceChildren(image, paths, text(size, height / 2, letters[0]), text(width - size, height / 2, letters[1]),
        text(width / 2, size, letters[2]), text(width / 2, height - size, letters[3]));
    }

    function choose(name) {
      for (const svg of [axial, coronal]) {
        svg.classList.toggle("one", name !== undefined);
        svg.querySelectorAll("path").forEach((path) => path.classList.toggle("chosen", path.dataset.name === name));
      }
    }

    function entry(name) {
      const box = make("input", { type: "checkbox" });
      box.checked = !hidden.has(name);
      box.addEventListener("change", () => { hidden[box.checked ? "delete" : "add"](name); pictures(); choose(name); });
      const dsc = view().dsc[name];
      const score = dsc !== undefined ? dsc.toFixed(2) : view().annotated.includes(name) ? "–" : "no reference";
      const line = make("li", {}, make("label", {}, box, make("span", { class: "swatch", style: `background:${colour(name)}` }), name), make("span", {}, score));
      for (const event of ["pointerenter", "focusin"]) line.addEventListener(event, () => choose(name));
      for (const event of ["pointerleave", "focusout"]) line.addEventListener(event, () => choose());
      return line;
    }

    function pictures() {
      const { size, mm, slices } = current(), number = Number(slider.value);
      draw(axial, number, size[0], size[1], mm, "RLAP");
      draw(coronal, slices.length, size[0], size[2], [mm[0], mm[2]], "RLHF");
      const y = (size[2] - slices[number] - 0.5) * mm[2];
      coronal.append(make("line", { x1: 0, x2: size[0] * mm[0], y1: y, y2: y }));
    }

    function show() {
      const { size, mm, slices } = current(), number = Number(slider.value);
      pictures();
      place.value = `slice ${number + 1} of ${slices.length}, ${Math.round((slices[number] + 0.5) * mm[2])} of ${Math.round(size[2] * mm[2])} mm above the lowest`;
      slider.setAttribute("aria-valuetext", place.value);
      const anywhere = (name, planes) => planes.some((plane) => inPlane("reference", name, plane) || inPlane("predicted", name, plane));
      const here = view().names.filter((name) => anywhere(name, [number]));
      const between = view().names.filter((name) => !anywhere(name, [...slices.keys()]));
      summary.textContent = `DSC over the whole scan; ${here.length} of ${view().names.length} structures are in this slice`
        + (between.length ? `; in none of the ${slices.length} slices: ${between.join(", ")}` : "") + ".";
      list.replaceChildren(...here.map(entry));
    }

    function changeScan() {
      const before = run.value;
      const names = unique(views.filter((one) => one.scan === scan.selectedIndex).map((one) => one.run));
      run.replaceChildren(...options(names));
      if (names.includes(before)) run.value = before;
      colourAll();
      slider.max = current().slices.length - 1;
      slider.value = Math.floor(current().slices.length / 2);
      show();
    }

    coronal.addEventListener("click", (event) => {
      const box = coronal.getBoundingClientRect(), { size, slices } = current();
      const z = size[2] * (1 - (event.clientY - box.top) / box.height);
      const distances = slices.map((slice) => Math.abs(slice + 0.5 - z));
      slider.value = distances.indexOf(Math.min(...distances));
      show();
    });
    scan.addEventListener("change", changeScan);
    slider.addEventListener("input", show);
    run.addEventListener("change", () => { colourAll(); show(); });
    for (const control of [...radios, ...Object.values(kinds)]) control.addEventListener("change", show);
    changeScan();
  }

  document.querySelectorAll(".cases").forEach((root) => browse(root, JSON.parse(root.querySelector("script").textContent)));
}
