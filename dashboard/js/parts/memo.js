/** Components that are not drawn again while what they are given stays the same. */

import { Component, h } from "preact";

/** Wrap a component so that its properties are compared one by one. */
export function memo(inner) {
  return class Memo extends Component {
    shouldComponentUpdate(next) {
      return Object.keys({ ...next, ...this.props }).some((key) => next[key] !== this.props[key]);
    }

    render(properties) {
      return h(inner, properties);
    }
  };
}
