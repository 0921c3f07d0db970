// The page's script: parts that stay up to date, buttons, dialogs and the keyboard.
import { keepCurrent, select, selectLatest } from "./parts.js";
import { listenToButtons } from "./actions.js";
import { listenToDialogs } from "./dialogs.js";
import { listenToFilter } from "./filter.js";
import { listenToKeys, listenToTabs } from "./keyboard.js";
import { listenToMarks } from "./marks.js";
import { listenToMenus } from "./menus.js";
import { updateCountdowns } from "./clock.js";

listenToButtons(selectLatest);
listenToDialogs();
listenToFilter();
listenToKeys();
listenToTabs(select);
listenToMarks();
listenToMenus();
keepCurrent();
updateCountdowns();
