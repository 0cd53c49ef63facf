// The theme's switch, the menu of narrow screens, the mark in the list of headings, and the search. No library, no network.
const $ = (id) => document.getElementById(id)
const root = document.documentElement

$("theme").onclick = () => {
  const dark = root.dataset.theme ? root.dataset.theme == "dark" : matchMedia("(prefers-color-scheme: dark)").matches
  root.dataset.theme = dark ? "light" : "dark"
  try { localStorage.setItem("theme", root.dataset.theme) } catch {}
}

$("menu").onclick = () => $("menu").setAttribute("aria-expanded", document.body.classList.toggle("menu"))
$("side").querySelector("[aria-current]")?.scrollIntoView({ block: "center" })
scrollTo(0, scrollY)

$("lang")?.addEventListener("click", (e) => { e.currentTarget.hash = location.hash }) // Both languages have the same anchors

const marks = new Map([...document.querySelectorAll(".toc a")].map((a) => [decodeURIComponent(a.hash.slice(1)), a]))
const seen = new IntersectionObserver((entries) => {
  const first = entries.find((e) => e.isIntersecting)
  if (!first) return
  for (const a of marks.values()) a.removeAttribute("aria-current")
  marks.get(first.target.id)?.setAttribute("aria-current", "true")
}, { rootMargin: "-60px 0px -70% 0px" })
for (const id of marks.keys()) if ($(id)) seen.observe($(id))

// -- search: every word must be in a section; heading before title before text, this language and the course before others

const q = $("q"), hits = $("hits"), up = root.dataset.up
let loading

function load() {
  return loading ??= new Promise((done) => {
    const s = document.createElement("script")
    s.src = `${up}assets/search.js`
    s.onload = () => done(window.searchIndex.map((row) => [...row, row.slice(2).map((t) => t.toLowerCase())]))
    document.head.append(s)
  })
}

function rank([url, lang, , , , [title, heading, text]], words) {
  let sum = 0
  for (const w of words) {
    const points = (heading == w) * 60 + heading.includes(w) * 20 + title.includes(w) * 12 + Math.min(6, text.split(w).length - 1)
    if (!points) return 0
    sum += points
  }
  return sum + (lang == root.lang) * 30 + !/^(engine|synthetic|solutions)/.test(url) * 15
}

function marked(text, words) {
  const low = text.toLowerCase(), at = Math.max(0, Math.min(...words.map((w) => low.indexOf(w)).filter((i) => i >= 0), text.length) - 50)
  const part = (at ? "… " : "") + text.slice(at, at + 170), p = document.createElement("small")
  const found = new RegExp(words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "gi")
  let end = 0
  for (const m of part.matchAll(found)) {
    p.append(part.slice(end, m.index), Object.assign(document.createElement("mark"), { textContent: m[0] }))
    end = m.index + m[0].length
  }
  p.append(part.slice(end))
  return p
}

async function search() {
  const words = q.value.toLowerCase().split(/[\s　]+/).filter(Boolean)
  if (!words.length) { hits.hidden = true; return }
  const index = await load()
  if (words.join() != q.value.toLowerCase().split(/[\s　]+/).filter(Boolean).join()) return // Typed on while it was loading
  const best = index.map((row) => [rank(row, words), row]).filter(([n]) => n).sort(([a], [b]) => b - a).slice(0, 20)
  hits.replaceChildren(...best.map(([, [url, , title, heading, text]]) => {
    const a = Object.assign(document.createElement("a"), { href: up + url })
    const b = Object.assign(document.createElement("b"), { textContent: heading && heading != title && !title.endsWith(heading) ? `${title} › ${heading}` : title })
    a.append(b, marked(text, words))
    return a
  }))
  if (!best.length) hits.textContent = hits.dataset.none
  hits.hidden = false
}

q.onfocus = load
q.oninput = search
document.addEventListener("keydown", (e) => {
  const typing = /INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)
  if (e.key == "/" && !typing && !e.ctrlKey && !e.metaKey) { e.preventDefault(); q.focus() }
  if (e.key == "Escape") { hits.hidden = true; q.blur(); document.body.classList.remove("menu") }
  const links = [...hits.querySelectorAll("a")], i = links.indexOf(document.activeElement)
  if (hits.hidden || !links.length || (document.activeElement != q && i < 0)) return
  if (e.key == "ArrowDown") { e.preventDefault(); links[Math.min(i + 1, links.length - 1)].focus() }
  if (e.key == "ArrowUp") { e.preventDefault(); (i > 0 ? links[i - 1] : q).focus() }
  if (e.key == "Enter" && document.activeElement == q) links[0].click()
})
document.addEventListener("click", (e) => { if (!e.target.closest(".search")) hits.hidden = true })
