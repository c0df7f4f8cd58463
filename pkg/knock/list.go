package knock

// link makes a struct part of a list without allocating: the struct holds
// one link for each list it may be in, and the link points back to it.
type link[T any] struct {
	prev, next *link[T]
	of         *T
}

// list is a doubly linked list in the order of append.
type list[T any] struct{ first, last *link[T] }

func (l *list[T]) append(e *link[T]) {
	e.prev, e.next = l.last, nil
	if l.last != nil {
		l.last.next = e
	} else {
		l.first = e
	}
	l.last = e
}

func (l *list[T]) remove(e *link[T]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = nil, nil
}
