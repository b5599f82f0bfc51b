/** What a tree shows of an OTLP JSON trace. Takes any shape a node may answer; what is missing reads as empty. */
import { CommandError } from './command.ts';

export interface TreeSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for a root. */
  readonly parentSpanId: string;
  readonly service: string;
  readonly name: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly isError: boolean;
  /** What the status says, or what an exception event says. '' when neither does. */
  readonly errorMessage: string;
  readonly events: number;
  readonly links: number;
}

interface Attribute {
  readonly key?: string;
  readonly value?: { readonly stringValue?: string };
}
interface SpanJson {
  readonly traceId?: string;
  readonly spanId?: string;
  readonly parentSpanId?: string;
  readonly name?: string;
  readonly startTimeUnixNano?: string | number;
  readonly endTimeUnixNano?: string | number;
  readonly status?: { readonly code?: number | string; readonly message?: string };
  readonly events?: readonly { readonly name?: string; readonly attributes?: readonly Attribute[] }[];
  readonly links?: readonly unknown[];
}
interface TraceJson {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly Attribute[] };
    readonly scopeSpans?: readonly { readonly spans?: readonly SpanJson[] }[];
  }[];
}

/** The spans of an OTLP JSON answer, in its order. Throws CommandError when it is not one. */
export function readTraceJson(json: string): TreeSpan[] {
  let trace: TraceJson;
  try {
    trace = JSON.parse(json) as TraceJson;
  } catch {
    throw new CommandError('The answer is not JSON: is --url a Quorate node?');
  }
  return (trace.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const service = attribute(resource?.attributes, 'service.name') ?? 'unknown service';
    return (scopeSpans ?? []).flatMap(({ spans }) => (spans ?? []).map((span) => toTreeSpan(span, service)));
  });
}

function toTreeSpan(span: SpanJson, service: string): TreeSpan {
  const exception = span.events?.find(({ name }) => name === 'exception');
  const isError = span.status?.code === 2 || span.status?.code === 'STATUS_CODE_ERROR';
  const said = span.status?.message || attribute(exception?.attributes, 'exception.message');
  return {
    traceId: span.traceId ?? '',
    spanId: span.spanId ?? '',
    parentSpanId: span.parentSpanId ?? '',
    service,
    name: span.name ?? '',
    startNs: BigInt(span.startTimeUnixNano ?? 0),
    endNs: BigInt(span.endTimeUnixNano ?? 0),
    isError,
    errorMessage: isError ? (said ?? '') : '',
    events: span.events?.length ?? 0,
    links: span.links?.length ?? 0,
  };
}

function attribute(attributes: readonly Attribute[] | undefined, key: string): string | undefined {
  return attributes?.find((entry) => entry.key === key)?.value?.stringValue;
}
