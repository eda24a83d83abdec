/** What is told and heard over the broker, as AsyncAPI 3: made from the schemas that tests and the edge hold messages against. */
import { z } from "zod";
import { OUTBOUND_EVENT_TYPES, type OutboundEventType } from "../machines/events.ts";
import { CHECKOUT_STREAM, PAYMENT_STREAM, REPLAY_STREAM, replaySubjectOf, subjectOf } from "../messaging/subjects.ts";
import { envelopeSchema, eventSchemaOf, exampleOf, OUTBOUND_EVENTS } from "./outbound-event-schemas.ts";
import { PAYMENT_EVENT_EXAMPLES } from "./payment-event-examples.ts";
import { paymentEventSchema } from "./payment-event-schema.ts";

type Json = Readonly<Record<string, unknown>>;
type Inbound = (typeof paymentEventSchema.options)[number];

const EVENT_MEDIA_TYPE = "application/cloudevents+json";
const CHECKOUT_PARAMETERS = { executionContextId: { $ref: "#/components/parameters/executionContextId" } };

export function asyncApiDocument(version: string): Json {
  return {
    asyncapi: "3.0.0",
    info: {
      title: "checkoutd",
      version,
      description:
        "A durable checkout orchestrator, over NATS JetStream. What it tells is published each once and in the order of its " +
        "checkout; schemas only grow, so members that are not listed here must be borne.",
    },
    defaultContentType: EVENT_MEDIA_TYPE,
    channels: {
      ...byName(OUTBOUND_EVENT_TYPES, outboundChannel),
      replay: replayChannel(),
      ...byName(inboundTypes(), inboundChannel),
    },
    operations: {
      ...operationsOn("send", [...OUTBOUND_EVENT_TYPES, "replay"]),
      ...operationsOn("receive", inboundTypes()),
    },
    components: {
      parameters: {
        executionContextId: { description: "The checkout", examples: ["ctx_01JABC"], location: "$message.payload#/subject" },
      },
      messages: {
        ...byName(OUTBOUND_EVENT_TYPES, outboundMessage),
        ...Object.fromEntries(paymentEventSchema.options.map((schema) => [schema.shape.type.value, inboundMessage(schema)])),
      },
      schemas: {
        CloudEvent: jsonSchema(envelopeSchema),
        EventHeaders: jsonSchema(eventHeaders),
        SignatureHeaders: jsonSchema(signatureHeaders),
      },
    },
  };
}

function outboundChannel(type: OutboundEventType): Json {
  return {
    address: subjectOf({ type: `checkout.v1.${type}`, subject: "{executionContextId}" }),
    description: `Stream ${CHECKOUT_STREAM}. ${OUTBOUND_EVENTS[type].summary}.`,
    parameters: CHECKOUT_PARAMETERS,
    messages: messagesOf([type]),
  };
}

function replayChannel(): Json {
  return {
    address: replaySubjectOf({ type: "checkout.v1.{type}", subject: "{executionContextId}" }),
    description:
      `Stream ${REPLAY_STREAM}. Events that somebody asked for once more, the same as on ${CHECKOUT_STREAM} but for their ` +
      "Nats-Msg-Id. They come beside that stream, whose order is the checkout's.",
    parameters: { type: { description: "The event's type", enum: OUTBOUND_EVENT_TYPES }, ...CHECKOUT_PARAMETERS },
    messages: messagesOf(OUTBOUND_EVENT_TYPES),
  };
}

function inboundChannel(type: string): Json {
  return {
    address: `payments.v1.${type}.{pcrId}`,
    description: `Stream ${PAYMENT_STREAM}. The same bytes and signature as POST /orchestration/payments/events, which is the other way.`,
    parameters: {
      pcrId: {
        description: "The payment collection requirement. An event that says another one, or none, is refused",
        examples: ["pcr_1"],
        location: "$message.payload#/data/pcrId",
      },
    },
    messages: messagesOf([type]),
  };
}

function outboundMessage(type: OutboundEventType): Json {
  const example = exampleOf(type);
  const { type: typeSchema, data } = eventSchemaOf(type).shape;
  return {
    name: example.type,
    summary: OUTBOUND_EVENTS[type].summary,
    contentType: EVENT_MEDIA_TYPE,
    headers: { $ref: "#/components/schemas/EventHeaders" },
    payload: { allOf: [{ $ref: "#/components/schemas/CloudEvent" }, jsonSchema(z.object({ type: typeSchema, data }))] },
    examples: [{ headers: headersOf(example), payload: example }],
  };
}

function headersOf({ id, traceparent }: ReturnType<typeof exampleOf>): z.input<typeof eventHeaders> {
  return { "Nats-Msg-Id": id, "content-type": EVENT_MEDIA_TYPE, ...(traceparent === undefined ? {} : { traceparent }) };
}

function inboundMessage(schema: Inbound): Json {
  const type = schema.shape.type.value;
  const payload = PAYMENT_EVENT_EXAMPLES[type];
  return {
    name: type,
    summary: "News of a payment, signed by the Standard Webhooks scheme",
    description:
      "`amount` is in minor units of `currency` (ISO 4217), times are RFC 3339. `eventId` is the same for every delivery.",
    contentType: "application/json",
    headers: { $ref: "#/components/schemas/SignatureHeaders" },
    payload: jsonSchema(schema),
    examples: [{ headers: { ...SIGNATURE_EXAMPLE, "webhook-id": payload.data.eventId }, payload }],
  };
}

const eventHeaders = z.object({
  "Nats-Msg-Id": z.string().describe("The event's id; of a replayed event followed by `:` and the replay's id"),
  "content-type": z.literal(EVENT_MEDIA_TYPE),
  traceparent: z.string().exactOptional().describe("As in the event"),
});

const signatureHeaders = z.object({
  "webhook-id": z.string().min(1).describe("The delivery's id"),
  "webhook-timestamp": z
    .string()
    .regex(/^\d{1,12}$/)
    .describe("Unix seconds; not more than five minutes from when the broker stores it"),
  "webhook-signature": z
    .string()
    .describe("`v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<bytes>`; several with a space"),
});

const SIGNATURE_EXAMPLE: z.input<typeof signatureHeaders> = {
  "webhook-id": "evt_1",
  "webhook-timestamp": "1799402701",
  "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
};

/**
 * By what may be sent, so that it stays open for members to come. Without what other languages stumble over: zod's own
 * patterns for times, which `format` says, and the limits of its integers.
 */
function jsonSchema(schema: z.ZodType): Json {
  const { $schema: _, ...plain } = z.toJSONSchema(schema, {
    target: "draft-7",
    io: "input",
    override: ({ jsonSchema: one }) => {
      if (one.format === "date-time") delete one.pattern;
      if (one.maximum === Number.MAX_SAFE_INTEGER) delete one.maximum;
      if (one.minimum === Number.MIN_SAFE_INTEGER) delete one.minimum;
    },
  });
  return plain;
}

function inboundTypes() {
  return paymentEventSchema.options.map(({ shape }) => shape.type.value);
}

function byName<Name extends string>(names: readonly Name[], build: (name: Name) => Json): Json {
  return Object.fromEntries(names.map((name) => [name, build(name)]));
}

function messagesOf(types: readonly string[]): Json {
  return byName(types, (type) => ({ $ref: `#/components/messages/${type}` }));
}

/** An operation for each channel, seen from us. */
function operationsOn(action: "send" | "receive", channels: readonly string[]): Json {
  const operations = channels.map((name) => [`${action}_${name}`, { action, channel: { $ref: `#/channels/${name}` } }]);
  return Object.fromEntries(operations);
}
