/** What every PipeNetwork must do. */
import { describe, expect, it } from 'vitest';
import type { Address, Pipe, PipeNetwork } from '../../src/platform/pipe.ts';
import { bytes, expectRejection, text, type Drive } from './harness.ts';

export interface PipeSubject {
  readonly drive: Drive;
  /** Two nodes' views of one network. */
  readonly server: PipeNetwork;
  readonly client: PipeNetwork;
  /** Where the server may listen; port 0 asks for any. */
  readonly host: string;
}

/** A pipe whose bytes can be waited for. */
class Reader {
  readonly pipe: Pipe;
  received = '';
  closes = 0;
  #wake: () => void = () => {};

  constructor(pipe: Pipe) {
    this.pipe = pipe;
    pipe.onData = (chunk) => {
      expect(this.closes).toBe(0);
      this.received += text(chunk);
      this.#wake();
    };
    pipe.onClose = () => {
      this.closes++;
      this.#wake();
    };
  }

  async until(done: (reader: Reader) => boolean): Promise<void> {
    while (!done(this)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

export function pipeConformance(name: string, open: () => PipeSubject): void {
  describe(`PipeNetwork: ${name}`, () => {
    const story = (title: string, tell: (subject: PipeSubject) => Promise<void>): void =>
      it(title, () => {
        const subject = open();
        return subject.drive(() => tell(subject));
      });

    /** A listener and one pipe to it, both ends. */
    const join = async ({ server, client, host }: PipeSubject) => {
      let accept: (reader: Reader) => void = () => {};
      const accepted = new Promise<Reader>((resolve) => (accept = resolve));
      const listener = await server.listen({ host, port: 0 }, (pipe) => accept(new Reader(pipe)));
      const near = new Reader(await client.connect(listener.address, { timeoutMs: 1000 }));
      return { listener, near, far: await accepted };
    };

    story('bytes arrive whole and in order, both ways', async (subject) => {
      const { listener, near, far } = await join(subject);
      expect(listener.address.port).toBeGreaterThan(0);
      near.pipe.write([bytes('hello '), bytes(''), bytes('there')]);
      near.pipe.write([bytes('!')]);
      far.pipe.write([bytes('and back')]);
      await far.until((reader) => reader.received.length >= 12);
      await near.until((reader) => reader.received.length >= 8);
      expect([far.received, near.received]).toEqual(['hello there!', 'and back']);
      near.pipe.close();
      await far.until((reader) => reader.closes > 0);
      await listener.close();
    });

    story('megabytes arrive unharmed, and the queue counts them until they have left', async (subject) => {
      const { listener, near, far } = await join(subject);
      const piece = new Uint8Array(1 << 20).map((_, n) => 32 + ((n * 7) % 90));
      for (let n = 0; n < 8; n++) near.pipe.write([piece]);
      expect(near.pipe.queuedBytes).toBeGreaterThan(0);
      await far.until((reader) => reader.received.length >= 8 * piece.length);
      expect(far.received === text(piece).repeat(8)).toBe(true);
      near.pipe.write([bytes('.')]);
      await far.until((reader) => reader.received.length > 8 * piece.length);
      expect(near.pipe.queuedBytes).toBeLessThan(2);
      near.pipe.close();
      await listener.close();
    });

    story('closing ends both sides, once, and nothing follows', async (subject) => {
      const { listener, near, far } = await join(subject);
      far.pipe.close();
      far.pipe.close();
      await near.until((reader) => reader.closes > 0);
      await far.until((reader) => reader.closes > 0);
      near.pipe.write([bytes('into the void')]);
      far.pipe.write([bytes('into the void')]);
      near.pipe.close();
      await listener.close();
      expect([near.closes, far.closes, near.received, far.received]).toEqual([1, 1, '', '']);
    });

    story('nobody listening is a rejection, and a closed listener is nobody', async (subject) => {
      const { listener, near } = await join(subject);
      await listener.close();
      await expectRejection(subject.client.connect(listener.address, { timeoutMs: 200 }), {});
      near.pipe.write([bytes('pipes outlive their listener')]);
      expect(near.closes).toBe(0);
      near.pipe.close();
      const again = await subject.server.listen(listener.address, () => {});
      expect(again.address).toEqual(listener.address);
      await again.close();
    });

    story('an address can be had once', async (subject) => {
      const listener = await subject.server.listen({ host: subject.host, port: 0 }, () => {});
      const taken: Address = listener.address;
      await expectRejection(
        subject.server.listen(taken, () => {}),
        { code: 'EADDRINUSE' },
      );
      await listener.close();
    });
  });
}
