/**
 * What the spans of one block have in common, each pair of resource and scope once. One resource may stand over thousands
 * of scopes, so its bytes are looked at when it comes, and not again for each of them.
 */
import { crc32 } from '../platform/digest.ts';

/** All fields of ResourceSpans but its scopes, and of ScopeSpans but its spans. */
export interface Part {
  /** The same object for all scopes of a resource, as the walk gives it. */
  readonly resourcePart: Uint8Array;
  readonly scopePart: Uint8Array;
}

/** No number. */
export const none = -1;

interface Resource {
  readonly checksum: number;
  /** One object for all resources with these bytes. */
  readonly bytes: Uint8Array;
}

export class PartTable {
  /** By number. Equal resources are one object. */
  readonly parts: Part[] = [];
  /** The number of one part by the checksum of its bytes. */
  readonly #numbers = new Map<number, number>();
  readonly #resources = new Map<number, Resource>();
  readonly #last: { given: Uint8Array | null; resource: Resource } = {
    given: null,
    resource: { checksum: 0, bytes: new Uint8Array(0) },
  };

  /** The number of the part with these bytes, or `none`. */
  find({ resourcePart, scopePart }: Part): number {
    const { checksum, bytes } = this.#resourceOf(resourcePart);
    const number = this.#numbers.get(crc32(scopePart, checksum));
    const candidate = number === undefined ? undefined : this.parts[number];
    const isEqual = candidate?.resourcePart === bytes && Buffer.compare(candidate.scopePart, scopePart) === 0;
    return number !== undefined && isEqual ? number : none;
  }

  /** Adds a part that `find` did not find, and returns its number. */
  add({ resourcePart, scopePart }: Part): number {
    const { checksum, bytes } = this.#resourceOf(resourcePart);
    const number = this.parts.push({ resourcePart: bytes, scopePart }) - 1;
    this.#numbers.set(crc32(scopePart, checksum), number);
    return number;
  }

  #resourceOf(given: Uint8Array): Resource {
    if (this.#last.given === given) return this.#last.resource;
    const checksum = crc32(given);
    const known = this.#resources.get(checksum);
    const resource =
      known !== undefined && Buffer.compare(known.bytes, given) === 0 ? known : { checksum, bytes: given };
    if (known === undefined) this.#resources.set(checksum, resource);
    this.#last.given = given;
    this.#last.resource = resource;
    return resource;
  }
}
