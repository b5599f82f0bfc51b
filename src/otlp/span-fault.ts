/**
 * Why one span of an export is rejected while the others are taken (protocol C3): a closed set, each with its sentence.
 * Nothing is ever cut to fit: a span above a limit is rejected whole.
 */

/** What one span, and one request, may hold. Sizes are bytes. */
export interface SpanLimits {
  /** Encoded size of one span; and of what it shares with others, its resource and scope. */
  readonly spanBytesMax: number;
  /** Nesting of AnyValue: the value of an attribute is at depth 1, a value in its list at depth 2. */
  readonly anyValueDepthMax: number;
  /** Attributes of one span, event, link, resource or scope. */
  readonly attributesMax: number;
  readonly eventsMax: number;
  readonly linksMax: number;
  /** Encoded fields of one span, of one resource, or of one scope, at every depth: bounds the time that one takes. */
  readonly fieldsMax: number;
  /** One attribute's key; at least 127, which the walk takes without a look. */
  readonly keyBytesMax: number;
  /** One attribute's value as encoded; at least 127. */
  readonly valueBytesMax: number;
  /** Bytes of resources and scopes as a block repeats them, each resource once for each of its scopes, over the bytes of the request. */
  readonly sharedRatioMax: number;
  /** Spans of one request, those with a fault included. Twice as many resources and scopes are refused as damage. */
  readonly spansPerRequestMax: number;
}

/** For spans that were let in before, perhaps under other limits. */
export const noSpanLimits: SpanLimits = {
  spanBytesMax: Number.POSITIVE_INFINITY,
  // Bounds what a reader must remember, so it stays a number.
  anyValueDepthMax: 1_000,
  attributesMax: Number.POSITIVE_INFINITY,
  eventsMax: Number.POSITIVE_INFINITY,
  linksMax: Number.POSITIVE_INFINITY,
  fieldsMax: Number.POSITIVE_INFINITY,
  keyBytesMax: Number.POSITIVE_INFINITY,
  valueBytesMax: Number.POSITIVE_INFINITY,
  sharedRatioMax: Number.POSITIVE_INFINITY,
  spansPerRequestMax: Number.POSITIVE_INFINITY,
};

export const spanFaults = [
  'trace-id',
  'span-id',
  'span-bytes',
  'shared-bytes',
  'shared-ratio',
  'depth',
  'attributes',
  'events',
  'links',
  'fields',
  'key-bytes',
  'value-bytes',
  'spans-per-request',
] as const;
export type SpanFault = (typeof spanFaults)[number];

/** The sentence for a limit that a span, or what it shares with others, is above. */
export const limitSentences: Readonly<
  Record<Exclude<SpanFault, 'trace-id' | 'span-id'>, (limits: SpanLimits) => string>
> = {
  'span-bytes': ({ spanBytesMax }) => `a span must have at most ${spanBytesMax} bytes`,
  'shared-bytes': ({ spanBytesMax }) => `its resource and scope must have at most ${spanBytesMax} bytes`,
  'shared-ratio': ({ sharedRatioMax }) =>
    `a resource must not be repeated for so many scopes that they hold more than ${sharedRatioMax} times the request`,
  depth: ({ anyValueDepthMax }) => `attribute values must not be nested deeper than ${anyValueDepthMax}`,
  attributes: ({ attributesMax }) =>
    `a span, event, link, resource or scope must have at most ${attributesMax} attributes`,
  events: ({ eventsMax }) => `a span must have at most ${eventsMax} events`,
  links: ({ linksMax }) => `a span must have at most ${linksMax} links`,
  fields: ({ fieldsMax }) =>
    `a span, its resource and its scope must each have at most ${fieldsMax} fields at all depths`,
  'key-bytes': ({ keyBytesMax }) => `the key of an attribute must have at most ${keyBytesMax} bytes`,
  'value-bytes': ({ valueBytesMax }) => `the value of an attribute must have at most ${valueBytesMax} bytes`,
  'spans-per-request': ({ spansPerRequestMax }) =>
    `a request must have at most ${spansPerRequestMax} spans: send smaller batches`,
};
