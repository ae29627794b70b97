// Contrast of every text that is shown, from computed styles: a function for Browser.evaluate.
// Gives the texts below WCAG's AA: 4.5, or 3 for large text (24 px, or 18.66 px and bold).
// Disabled controls and what is hidden from readers by `display` do not count.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], a: a / 255 };
  };
  const over = (top, ground) => top.rgb.map((part, at) => part * top.a + ground[at] * (1 - top.a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  // The drawing's names stand on their member's outline; its other words on the panel.
  const svgGround = (element, around) => {
    const outline =
      element.matches(".node-name, .node-term") && element.parentNode.querySelector(".outline");
    return outline ? over(rgba(getComputedStyle(outline).fill), around) : around;
  };
  const ground = (element) => {
    const above = [];
    for (let node = element; node; node = node.parentElement) above.unshift(node);
    const html = above.reduce(
      (rgb, node) => over(rgba(getComputedStyle(node).backgroundColor), rgb),
      [255, 255, 255],
    );
    return element instanceof SVGElement ? svgGround(element, html) : html;
  };
  const seen = new Set();
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || element.closest("script, noscript, option, :disabled, .unseen")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const behind = ground(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const ratio = contrast(over(rgba(colour), behind), behind);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const where = `${element.tagName}.${element.getAttribute("class") ?? ""}`;
    const line = `${ratio.toFixed(2)} ${where} ${words.slice(0, 30)}`;
    if (ratio < (large ? 3 : 4.5) && !seen.has(line)) poor.push(line);
    seen.add(line);
  }
  return { texts, poor };
})();
