// Work that changes what is seen, gathered into the browser's frames: however often data comes, each task runs at most
// once a frame, and a frame that has worked enough leaves the rest to the next. It must not know the work.

export type Task = () => void;

/** Milliseconds of work a frame; a frame at 60 Hz has 16. */
const BUDGET = 8;

/** While the page is hidden there are no frames; work is done this often so that it does not pile up. */
const HIDDEN_INTERVAL = 1000;

const waiting = new Set<Task>();
let scheduled = false;

/** Runs `task` in a coming frame, once however often it is asked for until then. */
export function inFrame(task: Task): void {
  waiting.add(task);
  schedule();
}

/** Takes a task back. */
export function notInFrame(task: Task): void {
  waiting.delete(task);
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  if (document.hidden) setTimeout(work, HIDDEN_INTERVAL);
  else requestAnimationFrame(work);
}

async function work(): Promise<void> {
  const begun = performance.now();
  try {
    for (const task of waiting) {
      waiting.delete(task);
      task();
      // What a task sets off (rendering, drawing) is done in microtasks: it counts, too.
      await undefined;
      if (performance.now() - begun > BUDGET) break;
    }
  } finally {
    // Also when a task has failed: it must not hold up the others.
    scheduled = false;
    if (waiting.size > 0) schedule();
  }
}

// A frame that was asked for just before the page was hidden would not come.
document.addEventListener("visibilitychange", () => {
  if (waiting.size > 0 && document.hidden) setTimeout(work, HIDDEN_INTERVAL);
});
