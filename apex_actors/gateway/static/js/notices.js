/** The notices of a state: one of a kind at a time. Pure, like the store it serves. */

/** @param {{key: string}} notice takes the place of the one with its key */
export function withNotice(state, notice) {
  return { ...state, notices: [...state.notices.filter(({ key }) => key !== notice.key), notice] };
}

export function withoutNotice(state, key) {
  return state.notices.some((notice) => notice.key === key)
    ? { ...state, notices: state.notices.filter((notice) => notice.key !== key) }
    : state;
}
