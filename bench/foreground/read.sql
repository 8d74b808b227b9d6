\set id random(1, :rows)
SELECT payload FROM public.records WHERE id = :id;
