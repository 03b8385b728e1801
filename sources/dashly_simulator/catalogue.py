"""The fixed words of the account: operators, channels, event types, names and sentences."""

from __future__ import annotations

from .records import Admin, Channel, EventType

AVATAR = "https://files.dashly.app/avatars/default-v2.png"

ADMIN_NAMES = ("Max", "Анна Петрова", "Kim", "Ёжик Туманов", "Ольга", "Zoë", "Николай", "Alex")
BOTS = ((9001, "Лид-бот", "lead_bot"), (9002, "Routing bot", "routing_bot"))


def make_admins() -> dict[int, Admin]:
    """The operators and bots, by id; a new mapping each time, because operators are renamed."""
    admins = {14700 + k: Admin(14700 + k, name, AVATAR, "admin") for k, name in enumerate(ADMIN_NAMES)}
    return admins | {number: Admin(number, name, AVATAR, "bot", internal) for number, name, internal in BOTS}


OPERATOR_IDS = tuple(14700 + k for k in range(len(ADMIN_NAMES)))
BOT_IDS = tuple(number for number, _, _ in BOTS)

CHANNELS = {
    channel.id: channel
    for channel in (
        Channel(5, "Support", "manual", "", (14700, 14702)),
        Channel(6, "Почта", "email", AVATAR, (14701,)),
        Channel(7, "Telegram", "telegram", AVATAR, ()),
        Channel(8, "ВКонтакте", "vk", AVATAR, (14703, 14704)),
    )
}

EVENT_TYPES = (
    EventType(5801, "$session_start", 0),
    EventType(5802, "$page_view", 0, visible=False),
    EventType(5803, "$registered", 10),
    EventType(5804, "$authorized", 1),
    EventType(5805, "$form_sended", 3),
    EventType(5806, "$conversation_started", 5),
    EventType(5857, "MyEvent", 0),
    EventType(5858, "Оплата прошла", 50),
    EventType(5859, "plan changed", -5, active=False),
    EventType(5860, "Добавил в корзину 🛒", 7),
)
USER_MERGED = EventType(5810, "$user_merged", 0)
FIRST_NEW_EVENT_TYPE_ID = 6000

FIRST_NAMES = ("Ann", "Иван", "Мария", "John", "Zoë", "Фёдор", "O'Brien", "李雷", "Ольга", "José")
LAST_NAMES = ("Smith", "Иванов", "Петрова", "Müller", "Щукин", "Ng", "García", "Кузнецова")
CITIES = (("England", "London"), ("Россия", "Москва"), ("Россия", "Нижний Новгород"), ("Germany", "Köln"))
PLANS = ("free", "pro", "Тариф «Старт»", "enterprise", "")
TAGS = ("sales", "возврат", "bug 🐞", "VIP", "спам")
PASSING_TAG = "triage"
CONVERSATION_TYPES = ("popup_chat", "popup_small", "popup_big", "email")
REPLY_TYPES = ("text", "email", "phone", "no")
USER_VIAS = ("web_user", "email_user", "app_android", None)
ADMIN_VIAS = ("web_panel", "app_chrome", "app_desktop", "email_admin")

USER_BODIES = (
    "Hi, how do I change my plan?",
    "Здравствуйте! Не приходит письмо с подтверждением.",
    "<p>Спасибо 👍</p>",
    "It still fails: <b>Error 17</b><br/>see the file",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 😀 \u202eabc\u202c",
    "да",
    "Line one\nline two\ttabbed \"quoted\" 'single' \\ backslash",
)
ADMIN_BODIES = (
    "<p>Добрый день! Уже смотрим.</p>",
    "Could you send a screenshot? 🙏",
    '<p>Готово, <a href="https://example.com/?a=1&amp;b=2">проверьте</a></p>',
    "Fixed in the next release.",
    "Hello 👋",
)
NOTE_BODIES = ("VIP, be nice", "Внутренняя заметка: звонил 12.10", "dup of #4512")
BOT_BODIES = ("Оставьте свой email, и мы ответим", "Choose a topic:")
FILES = (("a.png", "image/png"), ("счёт №5.pdf", "application/pdf"), ("log.txt", "text/plain"))
POISON = ("nul \x00 inside", "lone \ud83d surrogate", "\x00", "\udc00\ud800 turned round")
