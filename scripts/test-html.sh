#!/bin/sh
# Opens a contact sheet of `scenescribe annotate --html` in headless Chromium, works its filter and takes a screenshot.
set -eu

case "${1:-}" in -h|--help|'') cat <<'END'
usage: scripts/test-html.sh PHOTOS [SCREENSHOT.png]

Annotates the folder PHOTOS and a broken photo into a page, opens it without a network in headless Chromium (Debian's
package chromium, or the program named by CHROMIUM), and checks that all thumbnails load, that nothing is asked for from
elsewhere, that what failed stands apart, and that the filter works. The screenshot is to be looked at.
END
[ -n "${1:-}" ] && exit 0; exit 2 ;; esac

program=$(cd "$(dirname "$0")/.." && pwd)/target/release/scenescribe
photos=$(cd "$1" && pwd) screenshot=${2:-sheet.png}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "no picture" > "$work/broken.jpg"
"$program" annotate --threads 1 --jsonl "$work/out.jsonl" --html "$work/sheet.html" "$photos" "$work/broken.jpg" 2>/dev/null || true

browse() {
    "${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --disable-background-networking \
        --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir="$work/profile" "$@" 2>"$work/chromium.txt"
}

# The page itself, with a script that works it and leaves what it finds in the title.
cat > "$work/check.js" <<'END'
<script>
addEventListener("load", () => {
  const images = [...document.images], figures = document.querySelectorAll("figure");
  const box = document.getElementById("filter"), count = document.getElementById("count");
  const all = count.textContent;
  const word = figures[0].querySelector("b").textContent.split(" ")[1];
  box.value = word; box.dispatchEvent(new Event("input"));
  const fits = [...figures].filter(figure => figure.textContent.toLowerCase().includes(word)).length;
  const shown = [...figures].filter(figure => !figure.hidden).length;
  box.value = "no such words"; box.dispatchEvent(new Event("input"));
  const none = [...figures].every(figure => figure.hidden);
  const failed = document.querySelector("h2 ~ figure.failed em");
  const resources = performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length;
  document.title = JSON.stringify({ loaded: images.every(image => image.naturalWidth > 0), images: images.length,
    figures: figures.length, all, word, filters: shown === fits && none, failed: failed !== null, resources });
});
</script>
END
# Images that load lazily would not be waited for.
sed 's/<img loading=lazy/<img/' "$work/sheet.html" | cat - "$work/check.js" > "$work/check.html"
browse --dump-dom "file://$work/check.html" > "$work/dom.html"
title=$(sed -n 's:.*<title>\(.*\)</title>.*:\1:p' "$work/dom.html")
echo "$title"
python3 - "$title" "$(wc -l < "$work/out.jsonl")" <<'END'
import json, sys
found, records = json.loads(sys.argv[1]), int(sys.argv[2])
assert found["figures"] == records and found["images"] == records - 1, found
assert found["loaded"] and found["filters"] and found["failed"] and found["resources"] == 0, found
END
browse --window-size=1280,900 --screenshot="$screenshot" "file://$work/sheet.html"
echo "checks passed; screenshot in $screenshot, page of $(wc -c < "$work/sheet.html") bytes"
