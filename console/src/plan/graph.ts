// `Graph`: boxes and what flows between them, for plans and for jobs alike. It must not know how it is drawn.

export interface GraphNode {
  id: string;
  title: string;
  /** What it does, in a line. */
  detail: string;
  /** Short facts about what it puts out. */
  notes: string[];
  /** What colours it. */
  family: "source" | "table" | "state" | "move" | "view" | "sink" | "step";
}

/** `from` feeds `to`. */
export interface GraphEdge {
  from: string;
  to: string;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}
