/** How committed events reach others. Adapters: in this process, and NATS JetStream. */

/** CloudEvents 1.0, structured JSON. */
export interface CloudEvent {
  readonly specversion: "1.0";
  /** `<contextId>:<seq>`; also the broker's deduplication id. */
  readonly id: string;
  readonly source: string;
  /** `checkout.v1.<event_type>` */
  readonly type: string;
  /** The execution context's id. */
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: "application/json";
  /** Gapless per checkout. */
  readonly seq: number;
  /** Gapless per checkout and type. */
  readonly typeseq: number;
  readonly traceparent?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Bus {
  /** Resolves when the event is stored by the bus; rejects when that is not known. Publishing an id twice is harmless. */
  publish(event: CloudEvent): Promise<void>;
  ping(): Promise<void>;
  /** Safe twice. */
  stop(): Promise<void>;
}
