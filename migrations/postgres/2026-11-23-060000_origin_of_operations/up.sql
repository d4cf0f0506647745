-- Which request asked for the work, as JSON: its id, and the trace that it is a part of. The worker's log lines and spans
-- go by it. Nothing for what was asked for before, or by no request.
alter table operations add column origin text;
