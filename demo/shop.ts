/**
 * A small shop of five services, instrumented with the OpenTelemetry SDK as any application is: one tracer provider
 * and Resource per service, spans with events, errors and links. Only its clock is made up, so an order takes no time.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span, SpanContext } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';

export const services = ['frontend', 'cart', 'checkout', 'payment', 'shipping'] as const;
export type Service = (typeof services)[number];

/** What one order left behind. */
export interface Order {
  readonly traceId: string;
  readonly spanIds: readonly string[];
  readonly failed: boolean;
}

interface Step {
  readonly service: Service;
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  /** ms after the start of the order. */
  readonly from: number;
  readonly to: number;
}

const products = ['espresso machine', 'milk jug', 'grinder', 'cups', 'scale'];

export class Shop {
  readonly #providers: Record<Service, BasicTracerProvider>;
  #orders = 0;
  #lastPayment: SpanContext | undefined;

  /** @param exporterOf where a service sends its spans. */
  constructor(exporterOf: (service: Service) => SpanExporter) {
    const provider = (service: Service): BasicTracerProvider =>
      new BasicTracerProvider({
        resource: resourceFromAttributes({
          'service.name': service,
          'service.version': '1.4.2',
          'service.instance.id': `${service}-1`,
          'deployment.environment.name': 'demo',
        }),
        spanProcessors: [
          new BatchSpanProcessor(exporterOf(service), { scheduledDelayMillis: 40, maxExportBatchSize: 128 }),
        ],
      });
    this.#providers = {
      frontend: provider('frontend'),
      cart: provider('cart'),
      checkout: provider('checkout'),
      payment: provider('payment'),
      shipping: provider('shipping'),
    };
  }

  /** One customer buys something: nine to eleven spans across the five services, one order in eight fails at the till. */
  order(): Order {
    this.#orders += 1;
    const number = this.#orders;
    const failed = number % 8 === 0;
    const product = products[number % products.length] ?? 'cups';
    const slow = 1 + (number % 7) / 5;
    const startMs = Date.now() - 400;
    const spans: Span[] = [];
    const within = (
      parent: Context,
      step: Step,
      inside: (own: Context, span: Span) => void = () => undefined,
    ): void => {
      const tracer = this.#providers[step.service].getTracer('shop', '1.4.2');
      const { name, kind, attributes } = step;
      const span = tracer.startSpan(name, { kind, attributes, startTime: startMs + step.from * slow }, parent);
      spans.push(span);
      inside(trace.setSpan(parent, span), span);
      span.end(startMs + step.to * slow);
    };
    const fail = (span: Span, message: string): void => {
      span.setStatus({ code: SpanStatusCode.ERROR, message });
    };

    const page: Step = {
      service: 'frontend',
      name: 'POST /checkout',
      kind: SpanKind.SERVER,
      from: 0,
      to: 96,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/checkout',
        'http.response.status_code': failed ? 402 : 200,
        'user.id': `customer-${number % 41}`,
      },
    };
    within(ROOT_CONTEXT, page, (inPage, pageSpan) => {
      if (failed) fail(pageSpan, 'the order was not placed');
      within(inPage, call('cart', 'GetCart', 4, 15), (inCart, cartSpan) => {
        cartSpan.addEvent('cart loaded', { items: 1 + (number % 4) }, startMs + 13 * slow);
        within(inCart, query('cart', 'GET cart', 'redis', 6, 12));
      });
      within(inPage, call('checkout', 'PlaceOrder', 18, 90), (inOrder, orderSpan) => {
        orderSpan.setAttributes({ 'order.number': number, 'order.product': product });
        within(inOrder, query('checkout', 'INSERT orders', 'postgresql', 20, 27));
        within(inOrder, call('payment', 'Charge', 30, 62), (inCharge, chargeSpan) => {
          this.#lastPayment = chargeSpan.spanContext();
          within(
            inCharge,
            {
              service: 'payment',
              name: 'POST bank.example/charges',
              kind: SpanKind.CLIENT,
              from: 33,
              to: 60,
              attributes: {
                'server.address': 'bank.example',
                'http.response.status_code': failed ? 402 : 201,
                'payment.amount': 19.5 + (number % 80),
              },
            },
            (_, bankSpan) => {
              if (!failed) return;
              bankSpan.recordException(
                { name: 'CardDeclined', message: 'the bank refused the card' },
                startMs + 58 * slow,
              );
              fail(bankSpan, 'card declined');
            },
          );
          if (failed) fail(chargeSpan, 'card declined');
        });
        if (failed) {
          fail(orderSpan, 'payment failed');
          return;
        }
        within(inOrder, call('shipping', 'ShipOrder', 65, 84), (inShipping, shippingSpan) => {
          // A parcel belongs to the payment that released it: a link across the tree.
          if (this.#lastPayment !== undefined)
            shippingSpan.addLink({ context: this.#lastPayment, attributes: { reason: 'paid by' } });
          shippingSpan.addEvent('label printed', { carrier: number % 2 === 0 ? 'bike' : 'van' }, startMs + 80 * slow);
          within(inShipping, query('shipping', 'INSERT parcels', 'postgresql', 68, 76));
        });
        within(inOrder, {
          service: 'checkout',
          name: 'publish order.placed',
          kind: SpanKind.PRODUCER,
          from: 85,
          to: 88,
          attributes: { 'messaging.system': 'rabbitmq', 'messaging.destination.name': 'order.placed' },
        });
      });
    });
    return {
      traceId: spans[0]?.spanContext().traceId ?? '',
      spanIds: spans.map((span) => span.spanContext().spanId),
      failed,
    };
  }

  /** Hands everything to the exporters; what becomes of it they know. */
  async flush(): Promise<void> {
    await Promise.allSettled(services.map(async (service) => this.#providers[service].forceFlush()));
  }

  async shutdown(): Promise<void> {
    await Promise.allSettled(services.map(async (service) => this.#providers[service].shutdown()));
  }
}

function call(service: Service, method: string, from: number, to: number): Step {
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': `shop.${service}`, 'rpc.method': method };
  return { service, name: `${service}/${method}`, kind: SpanKind.SERVER, attributes, from, to };
}

function query(service: Service, name: string, system: string, from: number, to: number): Step {
  const attributes = { 'db.system.name': system, 'db.query.summary': name };
  return { service, name, kind: SpanKind.CLIENT, attributes, from, to };
}
