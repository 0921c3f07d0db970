// The page: parts that keep themselves current, buttons that do things, dialogs, and the keyboard.
import { follow, keepCurrent, look } from "./parts.js";
import { listen } from "./actions.js";
import { listenToDialogs } from "./dialogs.js";
import { listenToFilter } from "./filter.js";
import { listenToKeys, listenToTabs } from "./keyboard.js";
import { listenToMarks } from "./marks.js";
import { listenToMenus } from "./menus.js";
import { tick } from "./clock.js";

listen(follow);
listenToDialogs();
listenToFilter();
listenToKeys();
listenToTabs(look);
listenToMarks();
listenToMenus();
keepCurrent();
tick();
