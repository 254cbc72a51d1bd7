package stream

// AppendWithoutKey appends body without its top-level apiKey members, all
// other bytes as they came. dst may be the empty front of body: what is left of
// it moves there then.
func AppendWithoutKey(dst, body []byte) []byte {
	return appendWithout(dst, body, func(name []byte) bool { return string(name) == "apiKey" })
}

// appendWithout appends the object that body holds without the members whose
// names goes takes, all other bytes as they came. Of malformed input what
// cannot be read is appended as it is.
func appendWithout(dst, body []byte, goes func(name []byte) bool) []byte {
	at := 0    // what is before it has been appended or dropped
	last := -1 // end of the member before, once a member was kept
	begin, _ := valueStart(body)
	i, some := objectStart(body, begin)
	for some && i != bad {
		from := i
		name, v := member(body, i)
		if v == bad {
			break
		}
		end := skipValue(body, v, 0)
		if end == bad {
			break
		}
		next, more := nextItem(body, end, '}')
		switch {
		case !goes(plainName(name)):
			last = end
		case last >= 0:
			// The comma before it goes too.
			dst = append(dst, body[at:last]...)
			at, last = end, end
		case more:
			dst = append(dst, body[at:from]...)
			at = next
		default:
			dst = append(dst, body[at:from]...)
			at = end
		}
		i, some = next, more
	}
	return append(dst, body[at:]...)
}
