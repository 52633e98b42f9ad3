/** What the server says that words mean, for modules that read it. */

import { learn } from "../../dashboard/js/text/vocabulary.js";

learn(JSON.parse(process.env.VOCABULARY));
