# How the parameters for durations read what is written: at the prompt, through what stands in for a cmdlet, and where only a number is left.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"

    # Bare, as they are typed: the shell makes an [int], a [double], a [string], an [int16], a [uint16] or a [decimal] of each.
    $written = @(
        @{ Text = '30'; Expected = '00:00:30' }
        @{ Text = '0.25'; Expected = '00:00:00.25' }
        @{ Text = '500ms'; Expected = '00:00:00.5' }
        @{ Text = '2m'; Expected = '00:02:00' }
        @{ Text = '1h'; Expected = '01:00:00' }
        @{ Text = '0.5s'; Expected = '00:00:00.5' }
        @{ Text = '1.5s'; Expected = '00:00:01.5' }
        @{ Text = '2us'; Expected = '00:00:00.000002' }
        @{ Text = '1d'; Expected = '1.00:00:00' }
        @{ Text = '1.5d'; Expected = '1.12:00:00' }
        @{ Text = '00:01:30'; Expected = '00:01:30' }
        @{ Text = "'1d'"; Expected = '1.00:00:00' }
    )
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"

    # What a cmdlet is called by is the text of the test, so that the shell parses it as it parses what is typed.
    function Invoke-Text([string] $Text) {
        & ([scriptblock]::Create($Text))
    }
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
}

Describe 'A duration in an argument' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
    }

    It 'means what is written: <Text>' -ForEach $written {
        (Invoke-Text "Start-C10kServer -IdleTimeout $Text").Options.IdleTimeout | Should -Be ([timespan]$Expected)
    }

    It 'means what is written after a colon too: <Text>' -ForEach $written {
        (Invoke-Text "Start-C10kServer -IdleTimeout:$Text").Options.IdleTimeout | Should -Be ([timespan]$Expected)
    }

    It 'means what is written where a function hands it on: <Text>' -ForEach $written {
        function Start-Typed([C10kServer.Duration] $IdleTimeout) { Start-C10kServer @PSBoundParameters }
        function Start-Untyped($IdleTimeout) { Start-C10kServer -IdleTimeout $IdleTimeout }
        (Invoke-Text "Start-Typed -IdleTimeout $Text").Options.IdleTimeout | Should -Be ([timespan]$Expected)
        (Invoke-Text "Start-Untyped -IdleTimeout $Text").Options.IdleTimeout | Should -Be ([timespan]$Expected)
    }

    It 'is refused with what is valid: <_>' -ForEach 'soon', '1:00', '1y', '2n', '5 parsecs', '-1', '-0.5s', '', '1e400', '99999999d' {
        $text = $_
        $caught = try { Start-C10kServer -IdleTimeout $text } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'CannotConvertArgumentNoMessage,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match "IdleTimeout.*'$text' is (not a duration|negative).*Give a number of seconds"
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'is refused where the shell''s suffix means nothing here: <_>' -ForEach '1y', '2n', '3uy', '4skb' {
        $text = $_
        $caught = try { Invoke-Text "Start-C10kServer -IdleTimeout $text" } catch { $_ }
        "$caught" | Should -Match "'$text' is not a duration"
        Get-C10kServer | Should -BeNullOrEmpty
    }
}

Describe 'A duration in a hashtable' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
    }

    It 'is read where it is in quotes, or a number without the shell''s suffix: <_>' -ForEach "'0.5s'", "'1.5s'", "'2us'", "'1d'", '30', '0.5', '[timespan]::FromDays(1)' {
        $value = & ([scriptblock]::Create($_))
        $given = @{ IdleTimeout = $value }
        $expected = switch ($_) {
            "'0.5s'" { '00:00:00.5' }
            "'1.5s'" { '00:00:01.5' }
            "'2us'" { '00:00:00.000002' }
            '30' { '00:00:30' }
            '0.5' { '00:00:00.5' }
            default { '1.00:00:00' }
        }
        (Start-C10kServer @given).Options.IdleTimeout | Should -Be ([timespan]$expected)
    }

    It 'is refused where the shell has lost the unit: <Text>, which is <Type>' -ForEach @(
        @{ Text = '0.5s'; Type = 'Int16' }
        @{ Text = '1.5s'; Type = 'Int16' }
        @{ Text = '2us'; Type = 'UInt16' }
        @{ Text = '1d'; Type = 'Decimal' }
        @{ Text = '1y'; Type = 'SByte' }
        @{ Text = '1uy'; Type = 'Byte' }
        @{ Text = '1n'; Type = 'BigInteger' }
    ) {
        $given = Invoke-Text "@{ IdleTimeout = $Text }"
        $given.IdleTimeout.GetType().Name | Should -Be $Type
        $caught = try { Start-C10kServer @given } catch { $_ }
        "$caught" | Should -Match "\[$Type\].*in quotes"
        $caught = try { Start-C10kServer -IdleTimeout $given.IdleTimeout } catch { $_ }
        "$caught" | Should -Match "\[$Type\].*in quotes"
        Get-C10kServer | Should -BeNullOrEmpty
    }
}

Describe 'A duration, through what stands in for a cmdlet' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
    }

    It 'is the same in a mock: <Text>' -ForEach $written {
        Mock Start-C10kServer { $IdleTimeout }
        $seen = Invoke-Text "Start-C10kServer -IdleTimeout $Text"
        $seen | Should -BeOfType ([C10kServer.Duration])
        $seen.TimeSpan | Should -Be ([timespan]$Expected)
        Should -Invoke Start-C10kServer -Times 1 -Exactly -ParameterFilter { $IdleTimeout -eq $Expected }
        Should -Invoke Start-C10kServer -Times 0 -Exactly -ParameterFilter { $IdleTimeout -eq '3us' }
    }

    It 'is the same through a proxy: <Text>' -ForEach $written {
        $metadata = [System.Management.Automation.CommandMetadata]::new((Get-Command Start-C10kServer))
        $proxy = [scriptblock]::Create([System.Management.Automation.ProxyCommand]::Create($metadata))
        Set-Item function:Start-Proxy $proxy
        (Invoke-Text "Start-Proxy -IdleTimeout $Text").Options.IdleTimeout | Should -Be ([timespan]$Expected)
    }

    It 'is the same in a restricted endpoint, which makes a proxy of a cmdlet whose parameters it restricts' {
        $file = "$TestDrive/endpoint.pssc"
        New-PSSessionConfigurationFile -Path $file -SessionType RestrictedRemoteServer -ModulesToImport "$root/C10kServer.psd1" -VisibleCmdlets @{
            Name = 'Start-C10kServer'; Parameters = @{ Name = 'IdleTimeout' }, @{ Name = 'Name' }
        }
        $runspace = [runspacefactory]::CreateRunspace([initialsessionstate]::CreateFromSessionConfigurationFile($file))
        $runspace.Open()
        try {
            $given = [ordered]@{ '30' = 30; '0.5' = 0.5; '1d' = '1d'; '500ms' = '500ms' }
            foreach ($each in $given.GetEnumerator()) {
                $shell = [powershell]::Create($runspace).AddCommand('Start-C10kServer').AddParameter('IdleTimeout', $each.Value)
                $null = $shell.Invoke()
                "$($shell.Streams.Error)" | Should -BeNullOrEmpty
                $server = Get-C10kServer
                $server.Options.IdleTimeout | Should -Be ([timespan][C10kServer.Duration]$each.Key)
                $server | Stop-C10kServer
            }

            # The text that stood at the client's prompt does not cross the wire.
            $shell = [powershell]::Create($runspace).AddCommand('Start-C10kServer').AddParameter('IdleTimeout', [decimal]1)
            { $shell.Invoke() } | Should -Throw '*in quotes*'
            Get-C10kServer | Should -BeNullOrEmpty
        } finally {
            $runspace.Dispose()
        }
    }

    It 'is the same after a way to another process' {
        $sent = [System.Management.Automation.PSSerializer]::Serialize([C10kServer.Duration]'90m')
        $came = [System.Management.Automation.PSSerializer]::Deserialize($sent)
        $came | Should -Not -BeOfType ([C10kServer.Duration])
        (Start-C10kServer -IdleTimeout $came).Options.IdleTimeout | Should -Be ([timespan]'01:30:00')
    }
}

Describe 'A duration as an object' {
    It 'reads and shows itself the same way: <_>' -ForEach '0s', '2us', '500ms', '1500ms', '90s', '2m', '90m', '1h', '36h', '1d', '0.0000001s' {
        "$([C10kServer.Duration]$_)" | Should -Be $_
    }

    It 'compares with whatever a duration is made of, and is a TimeSpan where one is wanted' {
        $duration = [C10kServer.Duration]'90s'
        $duration -eq '1.5m' | Should -BeTrue
        $duration -eq 90 | Should -BeTrue
        $duration -eq [timespan]'00:01:30' | Should -BeTrue
        $duration -lt '2m' | Should -BeTrue
        $duration -gt 100 | Should -BeFalse
        [timespan]$duration | Should -Be ([timespan]'00:01:30')
    }

    It 'is read and shown the same way in every culture' {
        $before = [cultureinfo]::CurrentCulture
        try {
            [cultureinfo]::CurrentCulture = [cultureinfo]::GetCultureInfo('de-DE')
            "$([C10kServer.Duration]'0.5s')" | Should -Be '500ms'
            [timespan][C10kServer.Duration]0.25 | Should -Be ([timespan]::FromMilliseconds(250))
            $caught = try { [C10kServer.Duration]'0,5s' } catch { $_ }
            "$caught" | Should -Match 'not a duration'
        } finally {
            [cultureinfo]::CurrentCulture = $before
        }
    }
}
