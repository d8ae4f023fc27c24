// Full screen: nothing but the dashboard. It has an address of its own, so that a screen on a wall can be started with
// it. It must not know what is shown.

import { useEffect } from "preact/hooks";
import { go } from "../../state/route";

export interface Kiosk {
  enter: () => void;
  leave: () => void;
}

export function useKiosk(isKiosk: boolean, schema: string, name: string): Kiosk {
  const leave = () => {
    if (!isKiosk) return;
    if (document.fullscreenElement) document.exitFullscreen().catch(() => undefined);
    go("dashboards", schema, name);
  };
  useEffect(() => {
    if (!isKiosk) return;
    document.documentElement.dataset.kiosk = "";
    // The browser leaves full screen by itself, too.
    const onChange = () => {
      if (!document.fullscreenElement) leave();
    };
    document.addEventListener("fullscreenchange", onChange);
    return () => {
      delete document.documentElement.dataset.kiosk;
      document.removeEventListener("fullscreenchange", onChange);
    };
  }, [isKiosk, schema, name]);
  return {
    enter() {
      // Where the browser does not give the whole screen, the whole window is there.
      document.documentElement.requestFullscreen?.().catch(() => undefined);
      go("dashboards", schema, name, "kiosk");
    },
    leave,
  };
}
