// Where things are on the drawing, in its own units.
//
// Owns: places on the ring, the lanes between two members, and the outline of each role and kind
// of message. Must never do: touch the document.

export const NODE = 42; // radius of a member
export const TIMER = 53; // radius of its timer
const RING = 185;
const LANE = 6; // each direction of a link keeps to its side
const MARGIN = 78;
const LABEL = 46; // two lines of words outside a member's timer

/** Members in the upper half have their words above, away from the links. */
const isUpper = (y) => y < -1;
export const labelLines = (place) =>
  isUpper(place.y) ? [-TIMER - 28, -TIMER - 11] : [TIMER + 20, TIMER + 37];

/** Places of `n` members, and the view box that holds them and their labels. */
export function layout(n) {
  const radius = n === 1 ? 0 : Math.max(RING, (n * 150) / (2 * Math.PI));
  const first = n === 2 ? Math.PI : -Math.PI / 2;
  const places = Array.from({ length: n }, (_, at) => {
    const angle = first + (2 * Math.PI * at) / n;
    return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
  const xs = places.map((place) => place.x);
  const ys = places.map((place) => place.y);
  const left = Math.min(...xs, -120) - MARGIN;
  const top = Math.min(...ys) - TIMER - (isUpper(Math.min(...ys)) ? LABEL : 12);
  const box = [
    left,
    top,
    Math.max(...xs, 120) + MARGIN - left,
    Math.max(...ys) + TIMER + LABEL - top,
  ];
  return { places, box: box.map((number) => Math.round(number)).join(" ") };
}

/** The straight way from one place to another, from edge to edge, on its own side of the link. */
export function lane(from, to, offset = LANE) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / length, dy / length];
  const edge = TIMER + 4;
  return {
    x1: from.x + ux * edge - uy * offset,
    y1: from.y + uy * edge + ux * offset,
    x2: to.x - ux * edge - uy * offset,
    y2: to.y - uy * edge + ux * offset,
  };
}

/** A place beside the way, on the side that is away from the middle of the ring. */
export function beside(way, part, distance) {
  const at = along(way, part);
  const [dx, dy] = [way.x2 - way.x1, way.y2 - way.y1];
  const length = Math.hypot(dx, dy) || 1;
  const [nx, ny] = [-dy / length, dx / length];
  const side = nx * at.x + ny * at.y < 0 ? -distance : distance;
  return { x: at.x + nx * side, y: at.y + ny * side };
}

export const along = (way, part) => ({
  x: way.x1 + (way.x2 - way.x1) * part,
  y: way.y1 + (way.y2 - way.y1) * part,
});

function polygon(corners, radius, turn) {
  const points = Array.from({ length: corners }, (_, at) => {
    const angle = turn + (2 * Math.PI * at) / corners;
    return `${(radius * Math.cos(angle)).toFixed(2)},${(radius * Math.sin(angle)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}

function circle(radius) {
  const half = `a${radius},${radius} 0 1,0`;
  return `M${-radius},0${half} ${2 * radius},0${half} ${-2 * radius},0Z`;
}

const square = (half) => `M${-half},${-half}H${half}V${half}H${-half}Z`;

const OUTLINES = {
  leader: polygon(6, NODE + 5, -Math.PI / 2),
  candidate: polygon(4, NODE + 7, -Math.PI / 2),
  "pre-candidate": polygon(4, NODE + 7, -Math.PI / 2),
  learner: square(NODE - 5),
};

/** Outline of a member's role around 0,0. Whatever does not answer is a (dashed) circle. */
export const outline = (standing) => OUTLINES[standing] ?? circle(NODE);

const DIAMOND = polygon(4, 1.25, -Math.PI / 2);
const DOTS = {
  vote: DIAMOND,
  vote_reply: DIAMOND,
  pre_vote: DIAMOND,
  pre_vote_reply: DIAMOND,
  snapshot: square(1),
  timeout_now: polygon(3, 1.3, -Math.PI / 2),
};
const SIZES = {
  heartbeat: 3.2,
  heartbeat_reply: 2.4,
  append: 4.5,
  append_reply: 3.4,
  vote: 7.5,
  vote_reply: 7.5,
  pre_vote: 6,
  pre_vote_reply: 6,
  snapshot: 8,
  timeout_now: 8,
};

export const BROKEN = "M-1,-1L1,1M1,-1L-1,1";
export const dotOutline = (type) => DOTS[type] ?? circle(1);

/** Half the width of a dot: an append's grows with its entries, a bundle's with its messages. */
export function dotSize(type, entries, messages) {
  const more = type === "append" ? Math.log2(1 + entries) : 0;
  return (SIZES[type] ?? 3) + Math.min(7, more + Math.log2(messages));
}

/** A whole circle starting at the top, for a timer that drains. */
const HALF = `a${TIMER},${TIMER} 0 1,1 0`;
export const timerPath = `M0,${-TIMER}${HALF},${2 * TIMER}${HALF},${-2 * TIMER}`;
export const TIMER_LENGTH = 2 * Math.PI * TIMER;
