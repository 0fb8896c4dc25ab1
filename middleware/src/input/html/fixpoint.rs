//! What was cleaned stays what it is when it is cleaned again.

use proptest::prelude::*;

use super::Html;

proptest! {
    #[test]
    fn cleaning_twice_is_cleaning_once(text in "[<>/abipr \"'=&;#x\u{a0}]{0,60}") {
        cleans_once(&text);
    }

    #[test]
    fn cleaning_twice_is_cleaning_once_however_elements_stand_in_each_other(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14)
    ) {
        cleans_once(&pieces.concat());
    }
}

/// Elements that the parser closes, opens again or moves.
const PIECES: &[&str] = &[
    "<a href=x>",
    "</a>",
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<code>",
    "</code>",
    "<p>",
    "</p>",
    "<h1>",
    "</h1>",
    "<ul>",
    "</ul>",
    "<li>",
    "<dl>",
    "<dt>",
    "<dd>",
    "<table>",
    "</table>",
    "<caption>",
    "<colgroup>",
    "<col>",
    "<thead>",
    "<tbody>",
    "<tr>",
    "<td>",
    "<th>",
    "</td>",
    "</tr>",
    "<pre>",
    "</pre>",
    "<blockquote>",
    "<center>",
    "<div>",
    "</div>",
    "<details>",
    "<summary>",
    "<ruby>",
    "<rp>",
    "<rt>",
    "<br>",
    "</br>",
    "<hr>",
    "<img src=y>",
    "<image>",
    "<svg>",
    "<math>",
    "<form>",
    "<button>",
    "<select>",
    "<option>",
    "<template>",
    "<nobr>",
    "<textarea>",
    "<title>",
    "<style>",
    "<noscript>",
    "<body>",
    "<x>",
    "\n",
    " ",
    "t",
    "&lt;",
    "\u{feff}",
    "-",
];

fn cleans_once(text: &str) {
    let custom = Html::custom().element("p", ["title"]).element("a", ["href", "class"]).element("tr", []);
    for profile in [Html::inline(), Html::rich(), custom] {
        let cleaner = profile.cleaner().unwrap();
        let Ok(once) = cleaner.clean(text) else { continue };
        assert_eq!(cleaner.clean(&once).unwrap(), once, "{text}");
    }
}
