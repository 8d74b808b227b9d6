\set tenant random(0, 499)
SELECT id, created_at FROM public.records WHERE tenant = :tenant ORDER BY created_at DESC LIMIT 20;
