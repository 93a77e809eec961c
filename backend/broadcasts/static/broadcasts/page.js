// Keeps the list current: asks the API with the session, often while something is being sent, seldom otherwise.
(() => {
  "use strict";

  const BUSY_MS = 1000;
  const IDLE_MS = 4000;
  const STATUS = { scheduled: "Scheduled", sending: "Sending", finished: "Finished", cancelled: "Cancelled" };
  const CHANNEL = { email: "E-mail", webhook: "Webhook" };

  const list = document.getElementById("broadcasts");
  const blank = document.getElementById("blank");
  const empty = document.getElementById("empty");
  const live = document.getElementById("live");
  const liveText = document.getElementById("live-text");
  const announcer = document.getElementById("announcer");
  const timeFormat = new Intl.DateTimeFormat("en-GB", {
    dateStyle: "medium",
    timeStyle: "short",
    // As on the server and in the form, wherever the reader is.
    timeZone: list.dataset.timeZone,
  });
  let timer;

  const setText = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  function newItem(broadcast) {
    const item = blank.content.firstElementChild.cloneNode(true);
    item.dataset.id = broadcast.id;
    item.dataset.status = broadcast.status;
    for (const form of item.querySelectorAll("form[data-action]")) {
      form.action = form.getAttribute("action").replace("/0/", `/${broadcast.id}/`);
    }
    return item;
  }

  function update(item, broadcast) {
    const field = (name) => item.querySelector(`[data-field="${name}"]`);
    const { progress } = broadcast;
    if (item.dataset.status !== broadcast.status) {
      item.dataset.status = broadcast.status;
      setText(announcer, `${broadcast.subject}: ${STATUS[broadcast.status]}`);
    }
    setText(field("subject"), broadcast.subject);
    setText(field("status"), STATUS[broadcast.status]);
    setText(field("audience"), broadcast.audience_name);
    setText(field("channel"), CHANNEL[broadcast.channel]);
    field("time").dateTime = broadcast.scheduled_at;
    setText(field("time"), timeFormat.format(new Date(broadcast.scheduled_at)));
    field("bar").max = progress.total || 1;
    field("bar").value = progress.sent + progress.failed;
    field("bar").setAttribute("aria-label", `Progress of ${broadcast.subject}`);
    setText(field("percent"), `${progress.percent} %`);
    for (const name of ["sent", "pending", "failed", "total"]) setText(field(name), String(progress[name]));
    setText(field("problem"), broadcast.problem);
    field("problem").hidden = !broadcast.problem;
    item.classList.toggle("has-failures", progress.failed > 0);
    const retry = item.querySelector('[data-action="retry"]');
    const cancel = item.querySelector('[data-action="cancel"]');
    if (retry) retry.hidden = !progress.failed || broadcast.status === "cancelled";
    if (cancel) cancel.hidden = !["scheduled", "sending"].includes(broadcast.status);
  }

  function render(broadcasts) {
    const items = new Map([...list.children].map((item) => [item.dataset.id, item]));
    broadcasts.forEach((broadcast, position) => {
      const item = items.get(String(broadcast.id)) ?? newItem(broadcast);
      items.delete(String(broadcast.id));
      update(item, broadcast);
      if (list.children[position] !== item) list.insertBefore(item, list.children[position] ?? null);
    });
    for (const item of items.values()) item.remove();
    empty.hidden = broadcasts.length > 0;
  }

  async function poll() {
    let wait = IDLE_MS;
    try {
      const response = await fetch(list.dataset.url, {
        headers: { Accept: "application/json" },
        credentials: "same-origin",
        cache: "no-store",
      });
      if (response.status === 401 || response.status === 403) {
        location.reload();
        return;
      }
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const { results } = await response.json();
      render(results);
      const now = Date.now();
      const busy = results.some(
        ({ status, scheduled_at: at }) => status === "sending" || (status === "scheduled" && new Date(at) <= now + IDLE_MS),
      );
      wait = busy ? BUSY_MS : IDLE_MS;
      live.classList.remove("lost");
      setText(liveText, "Live");
    } catch {
      live.classList.add("lost");
      setText(liveText, "No connection, trying again");
    }
    schedule(wait);
  }

  function schedule(wait) {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(poll, wait);
  }

  document.addEventListener("visibilitychange", () => schedule(0));
  poll();
})();
