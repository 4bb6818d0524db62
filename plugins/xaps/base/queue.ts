/** First in, first out, in constant time on average. */
export class Queue<T> {
  #added: T[] = []
  /** The next to be taken is the last. */
  #taken: T[] = []

  get size(): number {
    return this.#added.length + this.#taken.length
  }

  push(item: T): void {
    this.#added.push(item)
  }

  /** The oldest item, no longer in the queue; undefined when it is empty. */
  shift(): T | undefined {
    if (this.#taken.length === 0) {
      this.#taken = this.#added.reverse()
      this.#added = []
    }
    return this.#taken.pop()
  }
}
