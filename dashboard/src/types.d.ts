// Shapes that the page relies on; the interface itself is described by /api/v1/openapi.json.

export interface Session {
  user: string;
  role: "operator" | "owner";
}

export interface Live {
  session: Session | null | undefined;
  connection: "connecting" | "online" | "offline";
  host: any | null;
  servers: Map<string, any> | null;
  decisions: any[];
  operations: Map<number, any>;
  /** How often what happened may have been missed: history and decisions are asked for anew. */
  gaps: number;
  error: import("./api.js").Problem | null;
}
