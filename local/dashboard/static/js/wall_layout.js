// How the tiles of the wall are laid out: whatever their number, all of them fit the screen, and those in trouble are the biggest.

/** Sizes of text in pixels: from 5 m away, near enough to read a name, and of a tile that shows no more than its shape. */
const FROM_AFAR = 24;
const NAMED = 10;
const SHAPE_ONLY = 5;
/** Text in trouble is no larger than this share of the wall's height: beyond, only the others get smaller. */
const LARGEST = 0.085;
const LARGEST_SPAN = 12;
/** A tile in sizes of its text: a shape and about ten letters wide, two lines high; one that is much wider wastes its width. */
const TILE = { width: 7.7, height: 2.2, widest: 8.7 };

/**
 * The grid of a wall of `width` x `height` pixels with `troubled` tiles of span x span cells and `others` of one cell, placed row by
 * row with the holes filled (`grid-auto-flow: dense`): `{ columns, rows, span, size }`. `size` is that of the text in one cell, in
 * pixels; in a larger tile it is `span` times as large.
 */
export function wallLayout(width, height, troubled, others) {
  const spans = troubled && others ? LARGEST_SPAN : 1;
  const grids = Array.from({ length: spans }, (_, at) => roomiest(width, height, troubled, others, at + 1));
  const named = readable(grids, NAMED, height);
  if (named && named.size * named.span >= FROM_AFAR) return named;
  return readable(grids, SHAPE_ONLY, height) ?? grids[0];
}

/** Of the grids whose small text is `least` or larger: where trouble is read best, and then the others. */
function readable(grids, least, height) {
  const shown = ({ size, span }) => Math.min(size * span, LARGEST * height);
  const better = (one, other) => (shown(other) - shown(one) || other.size - one.size) > 0;
  return grids.filter(({ size }) => size >= least).reduce((best, grid) => (best && !better(best, grid) ? best : grid), null);
}

/** The grid of as many columns as make its cells show the largest text. */
function roomiest(width, height, troubled, others, span) {
  let best = null;
  for (let columns = span; columns <= Math.max(span, troubled * span + others); columns += 1) {
    const rows = rowsOf(columns, troubled, others, span);
    const size = sizeOf(width / columns, height / rows);
    if (!best || size > best.size) best = { columns, rows, span, size };
  }
  return best;
}

function rowsOf(columns, troubled, others, span) {
  const bands = Math.ceil(troubled / Math.floor(columns / span));
  const holes = columns * bands * span - troubled * span * span;
  return Math.max(1, bands * span + Math.ceil(Math.max(0, others - holes) / columns));
}

function sizeOf(width, height) {
  return Math.min(width / TILE.width, height / TILE.height, (TILE.widest * height) / TILE.width / TILE.height);
}
