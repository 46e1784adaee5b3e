package page

import "testing"

// What is filled in is text wherever it stands, and what the program says is as it is.
func TestWriter(t *testing.T) {
	var w Writer
	hostile := `"><script>alert('x')</script>&%s`
	w.Put("<p class=\"%s\">%s, %d%%</p>", hostile, hostile, 3)
	w.Joined(2, "<br>", func(i int) { w.Put("%d<b>", i) })
	const escaped = `&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;%s`
	want := `<p class="` + escaped + `">` + escaped + `, 3%</p>0<b><br>1<b>`
	if got := string(w.Bytes()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
