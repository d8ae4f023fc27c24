// A panel's place as its style takes it. On a phone only the order counts. It must not know the panel.

import type { Place } from "../../board/layout";

export function placeStyle(place: Place | undefined, order: number): Record<string, string> {
  if (!place) return {};
  return {
    "--column": String(place.column + 1),
    "--row": String(place.row + 1),
    "--width": String(place.width),
    "--height": String(place.height),
    "--order": String(order),
  };
}
