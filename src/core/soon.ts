/** What usually is there at once, and sometimes has to be waited for: a promise on each request would cost more than the work. */
export type Soon<Value> = Value | Promise<Value>;

export function andThen<From, To>(value: Soon<From>, next: (value: From) => Soon<To>): Soon<To> {
  return value instanceof Promise ? afterwards(value, next) : next(value);
}

async function afterwards<From, To>(value: Promise<From>, next: (value: From) => Soon<To>): Promise<To> {
  return next(await value);
}
