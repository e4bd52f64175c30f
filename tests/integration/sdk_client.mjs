// What a program using @opencode-ai/sdk does: log in, subscribe, create a session, prompt, read the answer.
// argv: folder holding node_modules, base URL, project directory. Credentials come by environment.
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [folder, baseUrl, directory] = process.argv.slice(2)
const sdk = join(folder, "node_modules/@opencode-ai/sdk/dist/client.js")
const { createOpencodeClient } = await import(pathToFileURL(sdk).href)

const login = (password) =>
  "Basic " + Buffer.from(`${process.env.OPENCODE_SERVER_USERNAME}:${password}`).toString("base64")
const client = (password) => createOpencodeClient({ baseUrl, directory, headers: { Authorization: login(password) } })
const opencode = client(process.env.OPENCODE_SERVER_PASSWORD)

const refused = await client("wrong").session.list()
const seen = { refused: refused.response.status, refusal: refused.error, types: [], text: "" }

const stop = new AbortController()
const events = await opencode.event.subscribe({ signal: stop.signal })
const session = (await opencode.session.create({ body: { title: "by the SDK" }, throwOnError: true })).data
const idle = (async () => {
  for await (const event of events.stream) {
    seen.types.push(event.type)
    if (event.type === "session.idle" && event.properties.sessionID === session.id) return
  }
})()
const answer = await opencode.session.prompt({
  path: { id: session.id },
  body: { model: { providerID: "fake", modelID: "fake-1" }, parts: [{ type: "text", text: "hello" }] },
  throwOnError: true,
})
seen.text = answer.data.parts.filter((part) => part.type === "text").map((part) => part.text.trim()).join("")
await idle
stop.abort()
seen.listed = (await opencode.session.list({ throwOnError: true })).data.some((entry) => entry.id === session.id)
console.log(JSON.stringify(seen))
process.exit(0)
