/** An event in words: in the trace, in the last lines of a failure, and in the picture of a run, so that one can be found in the other. */
import type { SimEvent } from './journal.ts';

export function textOf(event: SimEvent): string {
  switch (event.kind) {
    case 'message':
      return `${event.from}>${event.to} ${event.name}`;
    case 'fault':
      return `fault ${event.what} ${event.nodes.join(' ')}`.trimEnd();
    case 'state':
      return `${event.node} ${event.state} in term ${event.term}`;
    case 'client':
      return `${event.client} ${event.what} through ${event.node}: ${event.outcome}, begun ${event.startMs.toFixed(3)}`;
    case 'note':
      break;
  }
  return event.text;
}
