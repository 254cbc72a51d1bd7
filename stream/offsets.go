package stream

import "strconv"

// appendShifted appends grounding or citation metadata whose offsets count
// the bytes of the continuation's own text, so that they count those of the
// whole answer: shift is added to each. What refers to text before least, which
// the answer does not have, is left out.
func appendShifted(dst, metadata []byte, shift, least int) []byte {
	if metadata[0] != '{' {
		return append(dst, metadata...)
	}
	dst = append(dst, '{')
	walkMembers(metadata, 0, func(name []byte, v span) {
		dst = appendName(dst, name)
		value := v.of(metadata)
		switch string(name) {
		case "groundingSupports", "citations", "citationSources":
			dst = appendShiftedList(dst, value, shift, least)
		default:
			dst = append(dst, value...)
		}
	})
	return append(dst, '}')
}

func appendShiftedList(dst, list []byte, shift, least int) []byte {
	if list[0] != '[' {
		return append(dst, list...)
	}
	dst = append(dst, '[')
	n := len(dst)
	i, some := arrayStart(list, 0)
	for some && i != bad {
		start := i
		if i = skipValue(list, i, 0); i == bad {
			break
		}
		if item, ok := shifted(list[start:i], shift, least); ok {
			if len(dst) > n {
				dst = append(dst, ',')
			}
			dst = append(dst, item...)
		}
		i, some = nextItem(list, i, ']')
	}
	return append(dst, ']')
}

// shifted moves the offsets of one support or citation; ok is false when it
// refers to text that the answer does not have, or cannot be moved.
func shifted(item []byte, shift, least int) (out []byte, ok bool) {
	if item[0] != '{' {
		return item, true
	}
	ok = true
	from, some := 0, false
	out = append(out, '{')
	walkMembers(item, 0, func(name []byte, v span) {
		value := v.of(item)
		n, isNumber := atoi(value)
		switch {
		case string(name) == "segment":
			var segment []byte
			segment, ok = shifted(value, shift, least)
			out = append(appendName(out, name), segment...)
			return
		case string(name) == "startIndex" && isNumber:
			from, some = int(n), true
			return
		case string(name) == "endIndex" && isNumber:
			some = true
			out = strconv.AppendInt(appendName(out, name), n+int64(shift), 10)
			return
		case string(name) == "partIndex" && isNumber && n > 0:
			ok = false
		}
		out = append(appendName(out, name), value...)
	})
	if some {
		ok = ok && from >= least
		out = strconv.AppendInt(appendName(out, []byte("startIndex")), int64(from+shift), 10)
	}
	return append(out, '}'), ok
}
