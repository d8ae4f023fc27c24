// The text of server-sent events cut into events. It must not know what they say, nor where the text is from.

export interface SseEvent {
  name: string;
  data: string;
}

/** Takes pieces of text, gives whole events. */
export class SseReader {
  private rest = "";

  /** Events that `piece` completes. */
  push(piece: string): SseEvent[] {
    this.rest += piece;
    const events: SseEvent[] = [];
    for (;;) {
      const end = this.rest.indexOf("\n\n");
      if (end < 0) return events;
      const event = read(this.rest.slice(0, end));
      this.rest = this.rest.slice(end + 2);
      if (event) events.push(event);
    }
  }
}

function read(block: string): SseEvent | undefined {
  let name = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
  }
  return data.length > 0 ? { name, data: data.join("\n") } : undefined;
}
