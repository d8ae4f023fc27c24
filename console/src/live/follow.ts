// Subscriptions in the browser: real connections, real time, and the network's coming and going. It must not know pages.

import { openLink } from "./link";
import { Subscription, type SubscriptionEvents, type Surroundings } from "./subscription";

const BROWSER: Surroundings = {
  open: openLink,
  later(milliseconds, then) {
    const timer = setTimeout(then, milliseconds);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

const open = new Set<Subscription>();

addEventListener("online", () => {
  for (const subscription of open) subscription.reconnect();
});

/** Follows `query` until the function that is returned is called. */
export function follow(query: string, on: SubscriptionEvents): () => void {
  const subscription = new Subscription(query, on, BROWSER);
  open.add(subscription);
  return () => {
    open.delete(subscription);
    subscription.close();
  };
}
