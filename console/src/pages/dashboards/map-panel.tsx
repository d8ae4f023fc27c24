// Spots on a map that can be moved and enlarged. It must not know the grid around it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { coastOf } from "../../board/coast";
import { numbers, toneOf } from "../../board/look";
import { around, type Box, kept, project, shifted, type View, zoomed } from "../../board/sphere";
import { type MapSpot, mapColumns, spotsOf } from "../../board/spots";
import { counted } from "../../data/format";
import { Canvas, type Draw } from "../../ui/canvas";
import { Icon } from "../../ui/icon";
import type { BodyProps } from "./body";
import { drawCoast, drawNet, drawSpots, radiusOf } from "./map-drawing";

const ZOOM = 1.6;
const STEP = 60;
const SOME: Box = { width: 400, height: 240 };

let coast: Promise<Float32Array[]> | undefined;

/** Coasts are loaded with the first map. */
function useCoast(): Float32Array[] {
  const [lines, setLines] = useState<Float32Array[]>([]);
  useEffect(() => {
    coast ??= import("world-atlas/land-110m.json").then(({ default: topology }) => coastOf(topology));
    let current = true;
    coast.then(
      (found) => current && setLines(found),
      // A map without coasts is still a map.
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, []);
  return lines;
}

export function MapPanel({ title, options, table, epoch }: BodyProps) {
  const { columns, rows } = table;
  const lines = useCoast();
  const box = useRef<Box>(SOME);
  const [view, setView] = useState<View>();
  const [hasMoved, setMoved] = useState(false);
  const [near, setNear] = useState<MapSpot>();
  const drag = useRef<{ x: number; y: number }>(undefined);
  const found = useMemo(() => mapColumns(columns, options), [columns, options]);
  const spots = useMemo(() => (found ? spotsOf(columns, rows, found, options) : []), [found, table, epoch]);
  const write = useMemo(() => numbers(options), [options]);
  if (!found) return <p class="panel-note">A map needs columns for lat and lon.</p>;

  // As long as nobody has moved it, all spots are in sight.
  const isSeen = (at: View) =>
    spots.every((spot) => {
      const [x, y] = project(at, box.current, spot);
      return x >= 0 && y >= 0 && x <= box.current.width && y <= box.current.height;
    });
  const fitted = useRef<View>(undefined);
  if (!fitted.current || !isSeen(fitted.current)) fitted.current = around(spots, box.current);
  const shown = hasMoved && view ? kept(view, box.current) : fitted.current;
  const go = (next: View) => {
    setView(next);
    setMoved(true);
  };
  const showAll = () => {
    fitted.current = undefined;
    setMoved(false);
    setView(undefined);
  };
  const draw: Draw = (context, size, paint) => {
    drawNet(context, shown, size, paint);
    drawCoast(context, shown, size, paint, lines);
    drawSpots(context, shown, size, paint, spots, (value) => toneOf(value, options.thresholds));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const next = byKey(event.key, shown, box.current);
    if (event.key === "0") showAll();
    else if (next) go(next);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const onPointerMove = ({ offsetX: x, offsetY: y, buttons }: PointerEvent) => {
    if (drag.current && buttons > 0) {
      go(shifted(shown, box.current, x - drag.current.x, y - drag.current.y));
      drag.current = { x, y };
    } else {
      setNear(spotAt(spots, shown, box.current, x, y));
    }
  };
  return (
    <figure class="panel-figure">
      <div class="map">
        <Canvas
          class="map-canvas"
          role="application"
          aria-label={`${title}: ${counted(spots.length, "spot")} on a map; arrows move it, plus and minus enlarge it, 0 shows all`}
          tabIndex={0}
          draw={draw}
          version={`${shown.lon} ${shown.lat} ${shown.scale} ${epoch} ${lines.length} ${spots.length}`}
          onSize={(size) => {
            box.current = size;
            fitted.current = undefined;
            setView((v) => (v ? { ...v } : around(spots, size)));
          }}
          onKeyDown={onKeyDown}
          onPointerDown={(event: PointerEvent) => {
            drag.current = { x: event.offsetX, y: event.offsetY };
          }}
          onPointerUp={() => {
            drag.current = undefined;
          }}
          onPointerMove={onPointerMove}
          onPointerLeave={() => setNear(undefined)}
          onWheel={(event: WheelEvent) => {
            // A page that scrolls must not stop over a map: the wheel is the map's once one has chosen it.
            if (document.activeElement !== event.currentTarget && !event.ctrlKey) return;
            event.preventDefault();
            go(zoomed(shown, box.current, 1.0015 ** -event.deltaY, event.offsetX, event.offsetY));
          }}
        />
        <div class="map-buttons">
          <button type="button" class="quiet" aria-label="Enlarge" onClick={() => go(zoomed(shown, box.current, ZOOM))}>
            <Icon name="plus" />
          </button>
          <button
            type="button"
            class="quiet"
            aria-label="Make smaller"
            onClick={() => go(zoomed(shown, box.current, 1 / ZOOM))}
          >
            <Icon name="minus" />
          </button>
          <button type="button" class="quiet" aria-label="Show all" onClick={showAll}>
            <Icon name="expand" />
          </button>
        </div>
      </div>
      <figcaption>
        {near ? (
          <span>
            {near.label || `${near.lat}, ${near.lon}`} {near.value !== undefined && <b>{write(near.value)}</b>}
          </span>
        ) : (
          <span class="muted">{counted(spots.length, "spot")}</span>
        )}
      </figcaption>
    </figure>
  );
}

function byKey(key: string, view: View, box: Box): View | undefined {
  switch (key) {
    case "ArrowLeft":
      return shifted(view, box, STEP, 0);
    case "ArrowRight":
      return shifted(view, box, -STEP, 0);
    case "ArrowUp":
      return shifted(view, box, 0, STEP);
    case "ArrowDown":
      return shifted(view, box, 0, -STEP);
    case "+":
    case "=":
      return zoomed(view, box, ZOOM);
    case "-":
      return zoomed(view, box, 1 / ZOOM);
    default:
      return undefined;
  }
}

function spotAt(spots: readonly MapSpot[], view: View, box: Box, x: number, y: number): MapSpot | undefined {
  let best: MapSpot | undefined;
  let least = 8;
  for (const spot of spots) {
    const [sx, sy] = project(view, box, spot);
    const distance = Math.hypot(sx - x, sy - y) - radiusOf(spot);
    if (distance < least) [best, least] = [spot, distance];
  }
  return best;
}
