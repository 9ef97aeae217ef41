        -- A part of statements: the value of a dimension; null where the dimension is.
        case %(dimension)s::text
            when 'model' then model
            when 'provider' then provider
            when 'processing' then processing
            when 'feature' then feature
            when 'team' then team
            when 'user' then user_name
            when 'environment' then environment
            when 'status' then status
        end as name,
